import { defineConfig } from "vite";

// The names have no hashes, so that the binary can embed the files. The laptop stack serves them under /console.
export default defineConfig({
  base: "/console/",
  build: {
    target: "es2022",
    // These know `light-dark()`.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: { entryFileNames: "console.js", assetFileNames: "console[extname]" },
    },
  },
  // For `npm run dev`, with `cargo run` in another terminal.
  server: {
    proxy: Object.fromEntries(
      ["/conversations", "/numbers", "/decisions", "/events", "/console/trace", "/console/simulator"].map((path) => [
        path,
        process.env.GATEWAY ?? "http://127.0.0.1:3000",
      ]),
    ),
  },
});
