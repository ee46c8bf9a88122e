// The web client as one script and one style sheet under fixed names, so that the program can embed
// them and a rebuild can be compared byte by byte. Nothing is inlined: the gateway's policy forbids it.
import { defineConfig } from "vite";

// Where `npm run dev` finds a running `confab serve`.
const gateway = process.env["WEB_GATEWAY"] ?? "http://127.0.0.1:8080";
// It answers for its own host and origin only, so it must see its own.
const own = { target: gateway, headers: { origin: gateway }, changeOrigin: true };

export default defineConfig({
  base: "/",
  server: { proxy: { "^/confab\\.": own, "^/dev(/|$)": own } },
  build: {
    outDir: "dist",
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    rollupOptions: {
      output: {
        entryFileNames: "assets/[name].js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
});
