"""Checks rendered Kubernetes manifests, and alerting rules, for what a schema cannot say.

    manifests.py --source SRC --rules RULES.yaml RENDERED.yaml...

Each rendered file is one overlay as `kubectl kustomize` prints it. Every finding is printed with what it is about; the exit status is 1 if there is any.
"""

import argparse
import pathlib
import re
import sys

import yaml

# Made outside the repository, so that no key is ever in it (deploy/README.md).
EXTERNAL_SECRETS = {"roster", "roster-tls"}
# Kubernetes counts the preStop hook and the flush after draining within the grace period.
FLUSH_SECONDS = 10


class Overlay:
    """The objects of one rendered overlay, and what was found wrong with them."""

    def __init__(self, path):
        self.name = path.stem
        self.objects = [found for found in yaml.safe_load_all(path.read_text()) if found]
        self.findings = []

    def find(self, subject, text):
        kind, name = subject["kind"], subject["metadata"]["name"]
        self.findings.append(f"{self.name}: {kind}/{name}: {text}")

    def kind(self, *kinds):
        return [found for found in self.objects if found["kind"] in kinds]

    def names(self, kind):
        return {found["metadata"]["name"] for found in self.kind(kind)}


def check_pod_security(overlay, workload, pod):
    """The restricted profile of the Pod Security Standards, a read-only root and no token."""
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        overlay.find(workload, "the pod may run as root")
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        overlay.find(workload, "seccompProfile is not RuntimeDefault")
    if pod.get("automountServiceAccountToken") is not False:
        overlay.find(workload, "a service account token is mounted")
    if pod.get("enableServiceLinks") is not False:
        overlay.find(workload, "service links put ROSTER_PORT and the like into the environment")
    for container in pod["containers"]:
        context = container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False:
            overlay.find(workload, "privilege escalation is allowed")
        if context.get("readOnlyRootFilesystem") is not True:
            overlay.find(workload, "the root file system is writable")
        if context.get("capabilities") != {"drop": ["ALL"]}:
            overlay.find(workload, "capabilities are not dropped")
        resources = container.get("resources", {})
        for bound in ("requests", "limits"):
            if set(resources.get(bound, {})) != {"cpu", "memory"}:
                overlay.find(workload, f"resources.{bound} names not exactly cpu and memory")
        if ":" not in container["image"].rpartition("/")[2] or container["image"].endswith(":latest"):
            overlay.find(workload, f"image {container['image']} is not pinned to a version")


def check_references(overlay, workload, pod):
    """Everything that the pod asks for by name is in the overlay, or is one of the Secrets made outside it."""
    def known(kind, name, extra=frozenset()):
        if name not in overlay.names(kind) | set(extra):
            overlay.find(workload, f"{kind} {name} is nowhere")

    known("ServiceAccount", pod.get("serviceAccountName"))
    for volume in pod.get("volumes", []):
        if "secret" in volume:
            known("Secret", volume["secret"]["secretName"], EXTERNAL_SECRETS)
        if "persistentVolumeClaim" in volume:
            known("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        if "configMap" in volume:
            known("ConfigMap", volume["configMap"]["name"])
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"]:
        for source in container.get("envFrom", []):
            known("ConfigMap", source["configMapRef"]["name"])
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                known("Secret", reference["name"], EXTERNAL_SECRETS)
        mounts = container.get("volumeMounts", [])
        for mount in mounts:
            if mount["name"] not in volumes:
                overlay.find(workload, f"volume {mount['name']} is nowhere")
        for name, value in environment(overlay, container).items():
            if (value or "").startswith("/") and not any(pathlib.PurePath(value).is_relative_to(mount["mountPath"]) for mount in mounts):
                overlay.find(workload, f"{name} names {value}, where nothing is mounted")


def environment(overlay, container):
    """The variables of one container with their values; a value from a Secret is None."""
    values = {}
    for source in container.get("envFrom", []):
        for found in overlay.kind("ConfigMap"):
            if found["metadata"]["name"] == source["configMapRef"]["name"]:
                values.update(found["data"])
    for variable in container.get("env", []):
        values[variable["name"]] = variable.get("value")
    return values


def check_server(overlay, deployment, pod):
    """Probes, draining and the database fit together."""
    (container,) = pod["containers"]
    values = environment(overlay, container)
    encrypted = "ROSTER_TLS_CERT" in values

    for probe in ("livenessProbe", "startupProbe"):
        if container[probe].get("httpGet", {}).get("path") != "/livez":
            overlay.find(deployment, f"{probe} can fail with the database, and restarts the container then")
    readiness = container["readinessProbe"]
    if "grpc" in readiness and encrypted:
        overlay.find(deployment, "a gRPC probe cannot speak TLS")
    if "grpc" not in readiness and readiness["httpGet"]["path"] != "/readyz":
        overlay.find(deployment, "readiness does not ask for /readyz")

    if encrypted == (values.get("ROSTER_INSECURE") == "true"):
        overlay.find(deployment, "needs a certificate or ROSTER_INSECURE=true, and not both")

    drain = re.fullmatch(r"(\d+)s", values.get("ROSTER_DRAIN_TIMEOUT", ""))
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    if not drain:
        overlay.find(deployment, "ROSTER_DRAIN_TIMEOUT is not in whole seconds")
    elif pod["terminationGracePeriodSeconds"] < sleep + int(drain[1]) + FLUSH_SECONDS:
        overlay.find(deployment, f"killed before {sleep} s of preStop, {drain[1]} s of draining and {FLUSH_SECONDS} s of flushing are over")

    spec = deployment["spec"]
    if not values.keys() & {"ROSTER_DATABASE_URL", "ROSTER_DATABASE_URL_FILE"}:
        if spec["replicas"] != 1 or spec.get("strategy", {}).get("type") != "Recreate":
            overlay.find(deployment, "SQLite allows one process at a time: one replica, Recreate")
        if not any("persistentVolumeClaim" in volume for volume in pod["volumes"]):
            overlay.find(deployment, "the SQLite file does not outlive the pod")
    elif not values.keys() & {"ROSTER_SECRET_KEY", "ROSTER_SECRET_KEY_FILE"}:
        overlay.find(deployment, "replicas on PostgreSQL share one ROSTER_SECRET_KEY")

    if values["ROSTER_DATA_DIR"] not in {mount["mountPath"] for mount in container["volumeMounts"]}:
        overlay.find(deployment, "ROSTER_DATA_DIR is on the read-only root")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for name, variable in (("grpc", "ROSTER_LISTEN"), ("http", "ROSTER_HTTP_LISTEN")):
        if values[variable] != f"0.0.0.0:{ports[name]}":
            overlay.find(deployment, f"port {name} is not where {variable} listens")
    if deployment["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] != str(ports["http"]):
        overlay.find(deployment, "Prometheus is sent to another port than the HTTP one")


def check_selectors(overlay):
    """A Service or PodDisruptionBudget selects the server's pods and no others."""
    (server,) = overlay.kind("Deployment")
    labels = {
        found["metadata"]["name"]: found["spec"]["template"]["metadata"]["labels"]
        for found in overlay.kind("Deployment", "Job")
    }
    ports = {port["name"] for port in server["spec"]["template"]["spec"]["containers"][0]["ports"]}
    for subject in overlay.kind("Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = subject["spec"]
        selector = spec.get("podSelector", spec.get("selector", {}))
        selector = selector.get("matchLabels", selector)
        chosen = {name for name, found in labels.items() if selector.items() <= found.items()}
        expected = set(labels) if subject["kind"] == "NetworkPolicy" else {server["metadata"]["name"]}
        if chosen != expected:
            overlay.find(subject, f"selects {sorted(chosen)}, not {sorted(expected)}")
        for port in spec.get("ports", []):
            if port["targetPort"] not in ports:
                overlay.find(subject, f"port {port['targetPort']} is not a port of the server")


def check_egress(overlay):
    """Whatever Roster may reach is named, by whom it is and by port: a rule without either lets it reach anybody, or anything there."""
    for policy in overlay.kind("NetworkPolicy"):
        if "Egress" not in policy["spec"].get("policyTypes", []):
            overlay.find(policy, "lets everything out")
        for rule in policy["spec"].get("egress", []):
            ports = ", ".join(str(port["port"]) for port in rule.get("ports", []))
            if not ports:
                overlay.find(policy, f"egress to {rule.get('to')} names no port")
            if not rule.get("to"):
                overlay.find(policy, f"egress at {ports or 'all ports'} names nobody")
            for peer in rule.get("to", []):
                if peer.get("ipBlock", {}).get("cidr", "").endswith("/0") or peer.get("namespaceSelector") == {}:
                    overlay.find(policy, f"egress at {ports} reaches everybody")


def check_variables(overlay, source):
    """Every ROSTER_* variable is one that the program reads: a misspelt one is ignored without a word."""
    read = set(re.findall(r"ROSTER_[A-Z0-9_]+", "".join(path.read_text() for path in source.rglob("*.rs"))))
    for workload in overlay.kind("Deployment", "Job"):
        for container in workload["spec"]["template"]["spec"]["containers"]:
            for name in environment(overlay, container):
                if name.startswith("ROSTER_") and name not in read:
                    overlay.find(workload, f"no file below {source} reads {name}")


def check_rules(path, source):
    """Every metric of ours in a rule is one that the program counts: a rule on another one never fires."""
    instruments = {
        name.replace(".", "_")
        for file in source.rglob("*.rs")
        for name in re.findall(r'"(roster\.[a-z_.]+)"', file.read_text())
    }
    rules = [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    return [
        f"{path.name}: {rule['alert']}: no file below {source} counts {metric}"
        for rule in rules
        for metric in re.findall(r"\broster_[a-z_]+", rule["expr"])
        if re.sub(r"(_seconds)?(_total|_bucket|_count|_sum)?$", "", metric) not in instruments
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True, help="the program's source folder")
    parser.add_argument("--rules", type=pathlib.Path, required=True, help="the alerting rules")
    parser.add_argument("rendered", nargs="+", type=pathlib.Path)
    options = parser.parse_args()

    findings = check_rules(options.rules, options.source)
    for path in options.rendered:
        overlay = Overlay(path)
        for workload in overlay.kind("Deployment", "Job"):
            pod = workload["spec"]["template"]["spec"]
            check_pod_security(overlay, workload, pod)
            check_references(overlay, workload, pod)
        for deployment in overlay.kind("Deployment"):
            check_server(overlay, deployment, deployment["spec"]["template"]["spec"])
        check_selectors(overlay)
        check_egress(overlay)
        check_variables(overlay, options.source)
        print(f"{overlay.name}: {len(overlay.objects)} objects, {len(overlay.findings)} findings")
        findings += overlay.findings
    print("\n".join(findings), end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
