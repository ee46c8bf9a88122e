// The tests for node's own runner: TypeScript in, one file for each test out. Packages are left to node.
import { readdirSync } from "node:fs";
import { defineConfig } from "vite";

const tests = readdirSync("tests").filter((name) => name.endsWith(".test.ts"));

export default defineConfig({
  publicDir: false,
  build: {
    ssr: true,
    outDir: "target/tests",
    emptyOutDir: true,
    minify: false,
    sourcemap: "inline",
    target: "node20",
    rollupOptions: {
      input: Object.fromEntries(tests.map((name) => [name.slice(0, -3), `tests/${name}`])),
      output: { entryFileNames: "[name].js", chunkFileNames: "shared/[name].js" },
    },
  },
});
