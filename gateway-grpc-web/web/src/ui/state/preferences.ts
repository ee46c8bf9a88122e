/**
 * What somebody prefers on this device: the theme. Kept in localStorage, where there is one.
 */
import { effect, signal } from "@preact/signals";

/** `system` follows the device. */
export type Theme = "system" | "light" | "dark";

const KEY = "confab.theme";
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(systemDark.matches);
systemDark.addEventListener("change", (event) => {
  systemIsDark.value = event.matches;
});

function readTheme(): Theme {
  try {
    const kept = window.localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    // A browser may forbid storage altogether.
    return "system";
  }
}

/** The theme that was chosen. */
export const theme = signal<Theme>(readTheme());

/** Chooses a theme, now and for the next visit. */
export function setTheme(next: Theme): void {
  theme.value = next;
  try {
    window.localStorage.setItem(KEY, next);
  } catch {
    // It holds for this visit then.
  }
}

effect(() => {
  const dark = theme.value === "dark" || (theme.value === "system" && systemIsDark.value);
  document.documentElement.dataset["theme"] = dark ? "dark" : "light";
  document
    .querySelector('meta[name="theme-color"]')
    ?.setAttribute("content", dark ? "#1b1d21" : "#ffffff");
});
