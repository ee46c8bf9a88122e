// A token ends in the middle of a conversation: the page gets another one and goes on, and nobody
// sees anything of it. When there is none to be had, it says so and shows the sign-in.

import { check, checkEqual, eventually, gateway, noComplaints, script, visit } from "./lib.mjs";
import { enter, live, send, sees, texts } from "./people.mjs";

const LIFETIME = 6;
const PACE = 250;
// The list draws what can be seen: here that is everything.
const viewport = { width: 1280, height: 5000 };

await script(async (browser) => {
  const bob = await enter(browser, "bob", { viewport });
  const alice = await visit(browser, { allow: ["403"], viewport });
  const issued = await shortTokens(alice);
  await alice.goto(`${gateway}/?as=alice`);
  await live(alice);

  const sent = [];
  let bars = 0;
  const end = Date.now() + LIFETIME * 2500;
  for (let count = 0; Date.now() < end; count += 1) {
    const text = `message ${count}`;
    sent.push(text);
    await send(count % 2 === 0 ? alice : bob, text);
    await sees(count % 2 === 0 ? bob : alice, text);
    bars += await alice.locator(".connection-bar").count();
    await alice.waitForTimeout(PACE);
  }
  check(issued.count >= 3, `${issued.count} tokens in ${LIFETIME * 2.5} s, each for ${LIFETIME} s`);
  checkEqual(bars, 0, "times that the page spoke of a lost connection");
  checkEqual(await texts(alice), sent, "what alice sees");
  checkEqual(await texts(bob), sent, "what bob sees");
  noComplaints(alice, bob);

  issued.refuse = true;
  await alice.getByText("Your sign-in has ended").waitFor();
  await alice.getByRole("button", { name: "Open as Alice" }).waitFor();
  issued.refuse = false;
  await alice.getByRole("button", { name: "Open as Alice" }).click();
  await eventually("everything is there again", async () => (await texts(alice)).length >= sent.length);
  return { tokens: issued.count, messages: sent.length };
});

// Lets the page have tokens that end soon; or none.
async function shortTokens(page) {
  const state = { count: 0, refuse: false };
  await page.route("**/dev/token", async (route) => {
    if (state.refuse) {
      await route.fulfill({ status: 403, contentType: "text/plain", body: "not any more" });
      return;
    }
    state.count += 1;
    const asked = route.request().postDataJSON();
    await route.continue({ postData: JSON.stringify({ ...asked, lifetime_seconds: LIFETIME }) });
  });
  return state;
}
