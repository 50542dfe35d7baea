// An OpenID provider for tests: node provider.mjs NODE_MODULES PORT. It has one client,
// and a new key each time that it starts.
import { pathToFileURL } from "node:url";

const [modules, port] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${modules}/${name}`));
const { Provider } = await load("oidc-provider/lib/index.js");
const { webcrypto } = await import("node:crypto");

const pair = await webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
const key = { ...(await webcrypto.subtle.exportKey("jwk", pair.privateKey)), kid: webcrypto.randomUUID(), alg: "ES256", use: "sig" };
delete key.key_ops;

const api = "https://api.example.com";
const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [key] },
  scopes: ["orders:read"],
  clients: [{ client_id: "shop", client_secret: "a secret of the tests", grant_types: ["client_credentials"], redirect_uris: [], response_types: [], id_token_signed_response_alg: "ES256" }],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => api,
      getResourceServerInfo: () => ({ scope: "orders:read", audience: api, accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } }),
    },
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
