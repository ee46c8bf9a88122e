// Outside of dev mode nobody is offered a name: who has a token of the team's identity provider signs
// in with it, chats, and is out when they sign out, token and all.
//
// ALICE, BOB   tokens

import { check, eventually, gateway, noComplaints, script, visit } from "./lib.mjs";
import { live, message, sees, send } from "./people.mjs";

await script(async (browser) => {
  const alice = await signIn(browser, process.env.ALICE);
  const bob = await signIn(browser, process.env.BOB);
  await write(alice, "bob");
  await send(alice, "from a token's owner");
  await bob.locator(".conversation-row").first().click();
  await sees(bob, "from a token's owner");
  await send(bob, "to another one");
  await sees(alice, "to another one");
  // The tab keeps it; another one must not.
  await alice.reload();
  await live(alice);
  const other = await alice.context().newPage();
  await other.goto(gateway);
  await other.getByLabel("Access token").waitFor();
  await other.close();
  noComplaints(alice, bob);
  await refused(browser);
  await signOut(bob);
});

async function signIn(browser, token) {
  // The page asks whether this is dev mode.
  const page = await visit(browser, { allow: ["404"] });
  await page.goto(`${gateway}/?as=alice`);
  await fill(page, token);
  await live(page);
  return page;
}

async function fill(page, token) {
  await page.getByLabel("Access token").fill(token);
  check((await page.getByText("Open as").count()) === 0, "a name is offered outside of dev mode");
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function write(page, user) {
  await page.getByRole("button", { name: "New conversation" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByPlaceholder("Name or user id").fill(user);
  await dialog.locator(".pick", { hasText: `@${user}` }).click();
  const create = dialog.getByRole("button", { name: "Create" });
  if (await create.isVisible()) await create.click();
  await page.locator(".conversation .composer-field").waitFor();
}

async function refused(browser) {
  const page = await visit(browser, { allow: ["404"] });
  await page.goto(gateway);
  await fill(page, "not.a.token");
  await page.getByText("This token was not accepted").waitFor();
  // Right in shape, and signed by nobody.
  await fill(page, process.env.ALICE.replace(/\.[^.]*$/, ".AAAA"));
  await page.getByText("Your sign-in has ended").waitFor();
  await page.getByLabel("Access token").waitFor();
  check((await page.locator(".conversation-row").count()) === 0, "nonsense signs somebody in");
  noComplaints(page);
}

// The token is good for nothing from then on.
async function signOut(page) {
  await page.locator("button.account").click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await fill(page, process.env.BOB);
  await page.getByText("Your sign-in has ended").waitFor();
  await eventually("nothing is shown", async () => (await message(page, "to another one").count()) === 0);
}
