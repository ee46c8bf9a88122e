// A real Confab with its gateway, in dev mode, on ports of its own: started, killed and started again.
// CONFAB_TEST_PROGRAM names the program.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { until } from "./until";

export const PROGRAM = process.env["CONFAB_TEST_PROGRAM"] ?? "";

/** A mutant of the server is for the tests of these tests. */
function isItsOwn(name: string): boolean {
  return !name.startsWith("CONFAB_") || name === "CONFAB_MUTANT";
}

export class Server {
  readonly #folder = mkdtempSync(join(tmpdir(), "confab-web-"));
  #child: ChildProcess | null = null;
  #gateway = "127.0.0.1:0";

  get url(): string {
    return `http://${this.#gateway}`;
  }

  async start(): Promise<void> {
    const addresses = join(this.#folder, "addresses.json");
    rmSync(addresses, { force: true });
    const free = "127.0.0.1:0";
    const listens = ["--listen", free, "--mesh-listen", free, "--ops-listen", free, "--gateway-listen", this.#gateway];
    const data = ["--data-dir", join(this.#folder, "data"), "--addresses", addresses];
    this.#child = spawn(PROGRAM, ["serve", ...listens, ...data], {
      stdio: "ignore",
      // Variables of its prefix are its configuration.
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => isItsOwn(name))),
    });
    await until("the server's addresses", () => {
      try {
        const text: unknown = JSON.parse(readFileSync(addresses, "utf8"));
        this.#gateway = (text as { gateway: string }).gateway;
        return true;
      } catch {
        return false;
      }
    });
    await until("the gateway", async () => (await fetch(`${this.url}/dev`).catch(() => null))?.ok === true);
  }

  /** As a power cut does it. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
    this.#child = null;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async token(user: string, deviceId: string): Promise<string> {
    const response = await fetch(`${this.url}/dev/token`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: this.url },
      body: JSON.stringify({ user, device_id: deviceId }),
    });
    const answer: unknown = await response.json();
    return (answer as { token: string }).token;
  }
}
