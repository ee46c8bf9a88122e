// People at the web client: what a scenario does with its hands and sees with its eyes.

import { eventually, gateway, visit } from "./lib.mjs";

// Opens the chat as somebody, in a browser of their own, and waits until it is live.
export async function enter(browser, user, options = {}) {
  const page = await visit(browser, options);
  await page.goto(`${gateway}/?as=${user}`);
  await live(page);
  return page;
}

// Waits until the list is there and nothing is said of a connection that is away.
export async function live(page) {
  await page.locator(".conversation-row, .empty").first().waitFor();
  await eventually("the page is live", async () => (await page.locator(".connection-bar").count()) === 0);
}

export const composer = (page) => page.locator(".conversation .composer-field");

// The row of a message, by what it says.
export const message = (page, text) => page.locator(".messages article", { has: page.locator(".body", { hasText: text }) });

export async function send(page, text) {
  await composer(page).fill(text);
  await composer(page).press("Enter");
}

// Waits until a message is there, and gives its row.
export async function sees(page, text) {
  const row = message(page, text);
  await row.first().waitFor();
  return row.first();
}

// Opens the menu of a message by the keyboard and takes one of its entries.
export async function choose(page, text, entry) {
  const row = await sees(page, text);
  await row.focus();
  await row.press("Enter");
  await page.getByRole("menuitem", { name: entry, exact: true }).click();
}

// What all messages on the page say, the oldest first; without the times beside them.
export const texts = (page) =>
  page.locator(".messages article .body").evaluateAll((bodies) =>
    bodies.map((body) => {
      const copy = body.cloneNode(true);
      for (const meta of copy.querySelectorAll(".meta")) meta.remove();
      return copy.textContent;
    }),
  );

// Goes to a conversation by its title, with the keyboard.
export async function switchTo(page, title) {
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill(title);
  await page.getByRole("option", { name: title }).first().waitFor();
  await page.keyboard.press("Enter");
  await page.locator(".header-title", { hasText: title }).waitFor();
}
