-- A call under the budgets of a minute and of an hour: charged to both, or to neither.
-- The arithmetic is that of crates/kit/src/rates/gcra.rs, in microseconds of Redis's own
-- clock, so that all processes count by one.
--
-- KEYS[1]: whose budgets. ARGV: interval and tolerance of the minute's, then of the
-- hour's; an interval of 0 is no limit. Answers 0, or how long the call is too early.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local states = redis.call('HMGET', KEYS[1], 'minute', 'hour')
local due, wait, last = {}, 0, now
for i = 1, 2 do
  local interval, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  due[i] = 0
  if interval > 0 then
    local state = tonumber(states[i] or 0) or 0
    -- No call leaves more than this; what does is of a clock that has gone back.
    state = math.min(math.max(state, now), now + tolerance + interval)
    wait = math.max(wait, state - tolerance - now)
    due[i] = state + interval
    last = math.max(last, due[i])
  end
end
if wait > 0 then
  return wait
end
-- In full: Lua writes large numbers with an exponent.
redis.call('HSET', KEYS[1], 'minute', string.format('%.0f', due[1]), 'hour', string.format('%.0f', due[2]))
-- A budget that is whole again is as good as none.
redis.call('PEXPIRE', KEYS[1], math.ceil((last - now) / 1000))
return 0
