// Eight tabs of one person over HTTP/1.1, which allows a browser six connections to a host: all of
// them are live, with one stream between them, and go on when the tab that has it is closed.

import { check, checkEqual, eventually, gateway, noComplaints, script, visit, watch } from "./lib.mjs";
import { enter, live, send, sees, texts } from "./people.mjs";

const TABS = 8;

await script(async (browser) => {
  const bob = await enter(browser, "bob");
  const streams = new Map();
  const first = await visit(browser);
  countStreams(first, streams);
  await first.goto(`${gateway}/?as=alice`);
  await live(first);
  const tabs = [first];
  while (tabs.length < TABS) {
    const tab = await first.context().newPage();
    watch(tab);
    countStreams(tab, streams);
    tabs.push(tab);
    await tab.goto(`${gateway}/?as=alice`);
    await live(tab);
    await tab.locator(".header-title", { hasText: "Bob" }).waitFor();
  }

  await send(bob, "hello to all eight");
  for (const tab of tabs) await sees(tab, "hello to all eight");
  for (const [index, tab] of tabs.entries()) {
    await send(tab, `from tab ${index}`);
    await sees(bob, `from tab ${index}`);
  }
  const expected = ["hello to all eight", ...tabs.map((_, index) => `from tab ${index}`)];
  for (const tab of tabs) {
    await eventually("each tab has all of them", async () => JSON.stringify(await texts(tab)) === JSON.stringify(expected));
  }
  const open = [...streams.values()].reduce((sum, count) => sum + count, 0);
  check(open >= 1 && open <= 2, `${open} streams are open for ${TABS} tabs`);

  await first.close();
  await send(bob, "after the first one was closed");
  for (const tab of tabs.slice(1)) await sees(tab, "after the first one was closed");
  await send(tabs[3], "and still writing");
  await sees(bob, "and still writing");
  const last = [...expected, "after the first one was closed", "and still writing"];
  for (const tab of tabs.slice(1)) {
    await eventually("each tab has all of them", async () => JSON.stringify(await texts(tab)) === JSON.stringify(last));
  }
  checkEqual(await texts(bob), last, "what bob sees");
  noComplaints(bob, ...tabs.slice(1));
  return { tabs: TABS, streams: open };
});

// Streams that a tab has open now.
function countStreams(tab, streams) {
  const isStream = (request) => request.url().endsWith("/Subscribe");
  const add = (request, step) => isStream(request) && streams.set(tab, (streams.get(tab) ?? 0) + step);
  tab.on("request", (request) => add(request, 1));
  tab.on("requestfinished", (request) => add(request, -1));
  tab.on("requestfailed", (request) => add(request, -1));
}
