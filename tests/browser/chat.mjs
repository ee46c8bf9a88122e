// Two people in two browsers use the chat: the first minute, what is done with messages, typing and
// read marks, a group with its people, and all of it by the keyboard where it can be.

import { check, checkEqual, eventually, gateway, noComplaints, script, visit } from "./lib.mjs";
import { choose, composer, enter, live, message, sees, send, switchTo, texts } from "./people.mjs";

await script(async (browser) => {
  const alice = await firstMinute(browser);
  const bob = await enter(browser, "bob");
  await conversation(alice, bob);
  await changes(alice, bob);
  await replies(alice, bob);
  await pinsAndFinds(alice, bob);
  await reading(alice, bob);
  await groups(browser, alice, bob);
  noComplaints(alice, bob);
});

// Whoever opens the address in dev mode has somebody to write to with one press, and nothing to read.
async function firstMinute(browser) {
  const page = await visit(browser);
  await page.goto(gateway);
  await page.getByRole("button", { name: "Open as Alice" }).click();
  await live(page);
  await page.locator(".header-title", { hasText: "Bob" }).waitFor();
  await eventually("the composer has the focus", () =>
    page.evaluate(() => document.activeElement?.classList.contains("composer-field")),
  );
  checkEqual(new URL(page.url()).search, "", "the address keeps nothing of the sign-in");
  return page;
}

async function conversation(alice, bob) {
  await send(alice, "Hello Bob");
  await sees(bob, "Hello Bob");
  await composer(bob).pressSequentially("Hi ");
  await alice.locator(".typing-line", { hasText: "Bob is typing" }).waitFor();
  await send(bob, "Hi Alice\nhow are you?");
  const row = await sees(alice, "how are you?");
  checkEqual(await row.locator(".progress").count(), 0, "marks at a message of somebody else's");
  await eventually("nobody types any more", async () => (await alice.locator(".typing-line").innerText()) === "");

  // A line of its own is text, and so is what looks like markup.
  await composer(alice).fill("first line");
  await composer(alice).press("Shift+Enter");
  await composer(alice).pressSequentially("<b>second</b> & last");
  await composer(alice).press("Enter");
  await sees(bob, "<b>second</b> & last");
  checkEqual((await texts(bob)).at(-1), "first line\n<b>second</b> & last", "two lines");
  checkEqual(await texts(alice), await texts(bob), "both see the same");
}

async function changes(alice, bob) {
  await send(alice, "See you at tne");
  await sees(bob, "See you at tne");
  await composer(alice).press("ArrowUp");
  await alice.locator(".composer-mode", { hasText: "Editing" }).waitFor();
  await composer(alice).fill("See you at ten");
  await composer(alice).press("Enter");
  const edited = await sees(bob, "See you at ten");
  await edited.locator(".meta:not(.meta-room)", { hasText: "edited" }).waitFor();
  checkEqual(await message(bob, "See you at tne").count(), 0, "messages as they were before the edit");

  await choose(bob, "See you at ten", "React with 👍");
  const reacted = (await sees(alice, "See you at ten")).locator(".reaction", { hasText: "👍" });
  await reacted.waitFor();
  await reacted.click();
  await eventually("two have reacted", async () => (await reacted.innerText()).includes("2"));
  await choose(alice, "See you at ten", "Who reacted");
  await alice.getByRole("dialog").locator(".person", { hasText: "Bob" }).waitFor();
  await alice.keyboard.press("Escape");
  await reacted.click();
  await eventually("one has reacted", async () => (await reacted.innerText()).includes("1"));

  await send(alice, "This was a mistake");
  await sees(bob, "This was a mistake");
  await choose(alice, "This was a mistake", "Delete");
  await alice.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await sees(bob, "This message was deleted");
  checkEqual(await message(bob, "This was a mistake").count(), 0, "deleted messages");
}

async function replies(alice, bob) {
  await choose(bob, "See you at ten", "Reply");
  await send(bob, "Make it eleven");
  const reply = await sees(alice, "Make it eleven");
  checkEqual(await reply.locator(".quote-text").innerText(), "See you at ten", "the quote of a reply");

  await choose(alice, "Make it eleven", "Open thread");
  const inThread = alice.getByRole("textbox", { name: "Reply in thread" });
  await inThread.fill("Why eleven?");
  await inThread.press("Enter");
  await alice.keyboard.press("Escape");
  const link = (await sees(bob, "Make it eleven")).locator(".thread-link", { hasText: "1 reply" });
  await link.click();
  await bob.locator(".panel article", { hasText: "Why eleven?" }).waitFor();
  await bob.keyboard.press("Escape");
  checkEqual(await bob.locator(".panel").count(), 0, "panels after Escape");
}

async function pinsAndFinds(alice, bob) {
  await choose(alice, "Make it eleven", "Pin for everyone");
  await bob.locator(".pins-bar", { hasText: "Make it eleven" }).waitFor();

  await send(bob, "@alice look at https://example.org/a?b=c #plan 🎉");
  const marked = await sees(alice, "look at");
  await marked.locator(".mention-me", { hasText: "@alice" }).waitFor();
  checkEqual(await marked.locator("a").getAttribute("href"), "https://example.org/a?b=c", "the link");
  checkEqual(await marked.locator("a").getAttribute("rel"), "noopener noreferrer nofollow", "what the link may do");
  await send(bob, "🎉🎉");
  await alice.locator(".body-emoji", { hasText: "🎉🎉" }).waitFor();
  await send(bob, "שלום לך");
  const hebrew = (await sees(alice, "שלום")).locator(".body");
  checkEqual(await hebrew.evaluate((body) => getComputedStyle(body).direction), "rtl", "a text in Hebrew");

  await alice.keyboard.press("Control+f");
  await alice.keyboard.type("eleven");
  await alice.keyboard.press("Enter");
  await alice.locator(".row-highlighted", { hasText: "Why eleven?" }).waitFor();
  await alice.keyboard.press("Enter");
  await alice.locator(".row-highlighted", { hasText: "Make it eleven" }).waitFor();
  await alice.keyboard.press("Escape");
  checkEqual(await alice.locator(".find-bar").count(), 0, "find bars after Escape");
}

// A message is read when it is on the screen of a page that somebody looks at, and not before.
async function reading(alice, bob) {
  await bob.getByRole("button", { name: "Account menu" }).waitFor();
  await bob.evaluate(() => {
    Object.defineProperty(document, "hasFocus", { value: () => false, configurable: true });
    window.dispatchEvent(new Event("blur"));
  });
  await send(alice, "Did you see this?");
  const row = await sees(alice, "Did you see this?");
  await row.locator(".meta:not(.meta-room) .progress-delivered").waitFor();
  await bob.locator(".conversation-row .badge", { hasText: "1" }).waitFor();
  await bob.locator(".unread-divider").waitFor();
  check(await row.locator(".progress-read").count() === 0, "a message is read that nobody looked at");
  await bob.evaluate(() => {
    delete document.hasFocus;
    window.dispatchEvent(new Event("focus"));
  });
  await row.locator(".meta:not(.meta-room) .progress-read").waitFor();
  await eventually("nothing is unread", async () => (await bob.locator(".conversation-row .badge").count()) === 0);
}

async function groups(browser, alice, bob) {
  const carol = await enter(browser, "carol");
  await carol.getByText("No conversations yet").waitFor();

  await alice.getByRole("button", { name: "New conversation" }).click();
  const dialog = alice.getByRole("dialog");
  await dialog.getByRole("radio", { name: "Group" }).click();
  await dialog.getByLabel("Title").fill("Weekend");
  await dialog.getByPlaceholder("Name or user id").fill("bob");
  await dialog.locator(".pick", { hasText: "@bob" }).click();
  await dialog.getByRole("button", { name: "Create" }).click();
  await alice.locator(".header-title", { hasText: "Weekend" }).waitFor();
  await send(alice, "Who is in?");
  await bob.locator(".conversation-row", { hasText: "Weekend" }).locator(".badge").waitFor();
  await switchTo(bob, "Weekend");
  await sees(bob, "Who is in?");

  await alice.getByRole("button", { name: "People", exact: true }).click();
  await alice.getByRole("button", { name: "Add people" }).click();
  await alice.getByRole("dialog").getByPlaceholder("Name or user id").fill("carol");
  await alice.getByRole("dialog").locator(".pick", { hasText: "@carol" }).click();
  await alice.getByRole("dialog").getByRole("button", { name: "Add", exact: true }).click();
  await carol.locator(".conversation-row", { hasText: "Weekend" }).click();
  await sees(carol, "Who is in?");
  await bob.locator(".notice-line", { hasText: "Alice added Carol" }).waitFor();

  const ofBob = alice.locator(".person", { hasText: "@bob" });
  await ofBob.getByRole("button", { name: "Actions for Bob" }).click();
  await alice.getByRole("menuitem", { name: "Make admin" }).click();
  await ofBob.locator(".tag", { hasText: "Admin" }).waitFor();
  await alice.locator(".person", { hasText: "@carol" }).getByRole("button").click();
  await alice.getByRole("menuitem", { name: "Remove" }).click();
  await alice.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await carol.locator(".obstacle, .empty").first().waitFor();
  noComplaints(carol);
}
