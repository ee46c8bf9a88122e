// Every screen of the chat in both themes, on a wide window and on a narrow one: axe-core finds nothing
// wrong, nothing is wider than the window, and the keyboard never loses its place. With SCREENSHOTS
// the four pictures of docs/screenshots are made on the way.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { check, eventually, gateway, noComplaints, screenshot, script, visit } from "./lib.mjs";
import { choose, composer, enter, live, sees, send, switchTo } from "./people.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
];

await script(async (browser) => {
  const others = await furnish(browser);
  let looked = 0;
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of SIZES) looked += await tour(browser, { colorScheme, viewport }, others);
  }
  return { screens: looked };
});

// Something to look at: a pair, a group and a channel with some history.
async function furnish(browser) {
  const [bob, carol, alice] = [await enter(browser, "bob"), await enter(browser, "carol"), await enter(browser, "alice")];
  await send(bob, "Morning! Did the train tickets come through?");
  await sees(alice, "train tickets");
  await send(alice, "Yes, all three. Platform 7 at 09:42, and the hut is ours until Sunday: https://example.org/hut");
  await send(alice, "There is no kitchen, though. We need the small stove, two pots, and somebody who is willing to carry the gas.");
  await sees(bob, "carry the gas");
  await choose(bob, "carry the gas", "Reply");
  await send(bob, "I vote for @carol 😄");
  await sees(alice, "I vote for");
  await choose(alice, "I vote for", "React with 😂");
  await choose(alice, "Platform 7", "Pin for everyone");
  await send(bob, "Can you bring the map? #planning");
  await sees(alice, "bring the map");
  await choose(alice, "bring the map", "Open thread");
  await alice.getByRole("textbox", { name: "Reply in thread" }).fill("The one with the trails?");
  await alice.keyboard.press("Enter");
  await alice.keyboard.press("Escape");
  await send(alice, "Already in my bag");

  await alice.getByRole("button", { name: "New conversation" }).click();
  const dialog = alice.getByRole("dialog");
  await dialog.getByRole("radio", { name: "Group" }).click();
  await dialog.getByLabel("Title").fill("Weekend trip");
  for (const name of ["bob", "carol"]) {
    await dialog.getByPlaceholder("Name or user id").fill(name);
    await dialog.locator(".pick", { hasText: `@${name}` }).click();
  }
  await dialog.getByRole("button", { name: "Create" }).click();
  await alice.locator(".header-title", { hasText: "Weekend trip" }).waitFor();
  await send(alice, "All packed?");
  await switchTo(bob, "Weekend trip");
  await switchTo(carol, "Weekend trip");
  await send(carol, "Nearly. @alice do we need the tarp?");
  await send(bob, "The forecast says no");
  await sees(alice, "forecast");
  await alice.context().close();
  await send(carol, "Then it is settled 👍");
  await sees(bob, "it is settled");
  await send(carol, "See you at the station");
  await sees(bob, "at the station");
  return { bob, carol };
}

// Goes through the screens and looks at each of them.
async function tour(browser, options, { bob }) {
  const narrow = options.viewport.width < 768;
  const name = `${options.viewport.width}-${options.colorScheme}`;
  const page = await visit(browser, { ...options, hasTouch: narrow });
  let screens = 0;
  const look = async (what) => {
    screens += 1;
    await inspect(page, `${what} at ${name}`);
  };
  const closed = async (what) => {
    await page.keyboard.press("Escape");
    await eventually(`after ${what} the focus is somewhere`, () => page.evaluate(() => document.activeElement !== document.body));
  };

  await page.goto(gateway);
  await page.getByRole("button", { name: "Open as Alice" }).waitFor();
  await look("the sign-in");
  await page.getByRole("button", { name: "Open as Alice" }).click();
  await live(page);
  await page.locator(".conversation-row", { hasText: "Weekend trip" }).waitFor();
  await look("the list");
  if (narrow) await page.locator(".conversation-row", { hasText: "Bob" }).last().click();
  else await switchTo(page, "Bob");
  await sees(page, "Already in my bag");
  await switchTo(bob, "Alice");
  // It is shown for some seconds only, so he goes on until it is.
  await eventually("Bob is seen typing", async () => {
    await composer(bob).pressSequentially("On my ");
    return (await page.locator(".typing-line").innerText()).includes("typing");
  });
  await look("a conversation");
  await page.mouse.move(0, 0);
  await screenshot(page, `chat-${name}`);
  await composer(bob).fill("");

  await (await sees(page, "bring the map")).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("menu").waitFor();
  await look("a message's menu");
  await closed("a menu");
  await page.locator(".thread-link").first().click();
  await page.locator(".panel article", { hasText: "with the trails" }).waitFor();
  await look("a thread");
  await closed("a thread");
  await page.keyboard.press("Control+f");
  await page.keyboard.type("stove");
  await page.keyboard.press("Enter");
  await page.locator(".row-highlighted").waitFor();
  await look("finding");
  await closed("finding");

  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("week");
  await look("the switcher");
  await page.keyboard.press("Enter");
  await sees(page, "it is settled");
  await page.getByRole("button", { name: "People", exact: true }).click();
  await page.locator(".person", { hasText: "@carol" }).waitFor();
  await look("people");
  await page.getByRole("button", { name: "Actions for Carol" }).click();
  await look("a person's menu");
  await closed("a person's menu");
  await closed("people");
  await composer(page).fill("hello @");
  await page.getByRole("listbox").waitFor();
  await look("mentions");
  await closed("mentions");
  await page.getByRole("button", { name: "Insert an emoji" }).click();
  await look("emoji");
  await closed("emoji");

  if (narrow) await page.getByRole("button", { name: "Back to the list" }).click();
  await page.getByRole("button", { name: "New conversation" }).click();
  await look("a new conversation");
  await closed("a new conversation");
  await page.locator(".account").click();
  await look("the account's menu");
  await closed("the account's menu");
  noComplaints(page);
  await page.context().close();
  return screens;
}

async function inspect(page, what) {
  await page.waitForFunction(() => document.getAnimations().every((one) => one.effect?.getTiming().iterations === Infinity || one.playState !== "running"));
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map(({ id, nodes }) => `${id} at ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
  check(found.length === 0, `${what}: ${found.join("; ")}`);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(wider <= 0, `${what} is ${wider} px wider than the window`);
}
