// A conversation of many messages (MESSAGES; 1,500 unless given, 100,000 is what it is made for) is
// scrolled up through: the page stays small, nothing on the screen jumps while older messages come, and
// new ones move nothing either, until one goes back to the end.

import { bundled, check, checkEqual, eventually, gateway, noComplaints, script, token } from "./lib.mjs";
import { enter, sees, send, switchTo } from "./people.mjs";

const MESSAGES = Number(process.env.MESSAGES ?? 1_500);
const WHEELS = Number(process.env.WHEELS ?? 120);
const MOST_ELEMENTS = 2_500;
const MOST_ROWS = 120;

await script(async (browser) => {
  (0, eval)(await bundled("seed.mjs"));
  const began = Date.now();
  await globalThis.seed(gateway, await token("bob"), "alice", MESSAGES);
  const seedSeconds = (Date.now() - began) / 1000;
  const alice = await enter(browser, "alice");
  await eventually("the list has the conversation", async () => (await alice.locator(".messages article").count()) > 5);
  await alice.locator(".jump").click().catch(() => undefined);

  await alice.evaluate(watchFrames);
  const box = await alice.locator(".messages").boundingBox();
  await alice.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const scrollBegan = Date.now();
  for (let count = 0; count < WHEELS; count += 1) {
    await alice.mouse.wheel(0, -400);
    await alice.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
  }
  const scrollSeconds = (Date.now() - scrollBegan) / 1000;
  const seen = await alice.evaluate(() => globalThis.frames9);
  check(seen.frames > WHEELS / 2, `only ${seen.frames} frames were looked at`);
  checkEqual(seen.jumps, [], "rows that moved against each other, or on their own");
  check(seen.elements <= MOST_ELEMENTS, `${seen.elements} elements`);
  check(seen.rows <= MOST_ROWS, `${seen.rows} rows`);
  check(seen.oldest < MESSAGES - 150, `the oldest that was seen is ${seen.oldest}`);

  await stays(alice);
  noComplaints(alice);
  const { heap } = await memory(alice);
  return { messages: MESSAGES, seedSeconds, scrollSeconds, ...seen, heapMegabytes: Math.round(heap / 1e6) };

  // What comes at the end moves nothing here; the button goes there.
  async function stays(page) {
    await page.waitForTimeout(300);
    const at = () => page.locator(".messages article .bubble").evaluateAll((bubbles) =>
      bubbles.map((bubble) => [bubble.textContent, Math.round(bubble.getBoundingClientRect().top)]).filter(([, top]) => top > 120 && top < 600),
    );
    await eventually("the list is at rest", async () => {
      const one = JSON.stringify(await at());
      await page.waitForTimeout(250);
      return one === JSON.stringify(await at());
    });
    const before = await at();
    check(before.length > 0, "nothing is on the screen");
    const bob = await enter(browser, "bob");
    await switchTo(bob, "Alice");
    await send(bob, "something new at the end");
    await page.locator(".jump .badge", { hasText: "1" }).waitFor();
    checkEqual(await at(), before, "what is on the screen");
    await page.locator(".jump").click();
    await sees(page, "something new at the end");
    await send(page, "and an answer");
    await sees(bob, "and an answer");
  }
});

// Looks at each frame: what is visible in two frames in a row must have moved as one, by the scrolling.
function watchFrames() {
  const seen = { frames: 0, jumps: [], elements: 0, rows: 0, oldest: Number.MAX_SAFE_INTEGER };
  globalThis.frames9 = seen;
  let last = new Map();
  const look = () => {
    const now = new Map();
    const rows = document.querySelectorAll(".messages article[data-seq]");
    for (const row of rows) {
      const bubble = row.querySelector(".bubble").getBoundingClientRect();
      if (bubble.bottom < 120 || bubble.top > 640) continue;
      now.set(row.dataset.key, bubble.top);
      seen.oldest = Math.min(seen.oldest, Number(row.dataset.seq));
    }
    const moves = [...now].filter(([key]) => last.has(key)).map(([key, top]) => top - last.get(key));
    const spread = moves.length === 0 ? 0 : Math.max(...moves) - Math.min(...moves);
    const lost = last.size > 0 && now.size > 0 && moves.length === 0;
    // Scrolling up moves things down, by one wheel or a few.
    const wrong = spread > 1.5 || moves.some((move) => move < -1.5 || move > 1700) || lost;
    if (wrong && seen.jumps.length < 5) seen.jumps.push({ spread, moves: moves.slice(0, 3), lost });
    seen.frames += 1;
    seen.elements = Math.max(seen.elements, document.querySelectorAll("*").length);
    seen.rows = Math.max(seen.rows, rows.length);
    last = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

async function memory(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  return { heap: usedSize };
}
