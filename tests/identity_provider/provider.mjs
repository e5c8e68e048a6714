// An OpenID Connect provider that is not ours, on a free port of loopback: people log in with any name, which is their subject.
// Takes the files of its certificate and key, and prints its issuer once it listens. It ends with its standard input.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider from "oidc-provider";

const [certificate, key] = process.argv.slice(2);
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
server.listen(0, "127.0.0.1", () => {
  const issuer = `https://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "roster-tests",
        client_secret: "a secret of the tests",
        redirect_uris: ["https://app.example.com/callback"],
        token_endpoint_auth_method: "client_secret_post",
      },
    ],
    cookies: { keys: ["a key of the tests"] },
    pkce: { required: () => false },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
process.stdin.on("end", () => process.exit()).resume();
