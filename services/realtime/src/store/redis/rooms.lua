-- Who is where. KEYS[1]: the processes that live, a sorted set by the time until which
-- they do. Further keys: users, a hash each, with a field for each process that has them
-- (`in/PROCESS`: when it said so last) and what they have said (`status`, `text`, `at`).
-- All times are microseconds of Redis's own clock.
--
-- ARGV: what, the process, how long a process lives, and for `tell`: its name of before;
-- `here`, `gone` or `says`; and, unless nothing was said: status, text, when (0: now).
-- Answers the status, text and time of each user, empty for who is not here; nothing at
-- all to a process that is not known to live.

local DAY = 86400
local what, me, lives = ARGV[1], ARGV[2], tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- In full: Lua writes large numbers with an exponent.
local function whole(number)
  return string.format('%.0f', number)
end

local function live()
  redis.call('ZADD', KEYS[1], whole(now + lives), me)
  redis.call('EXPIRE', KEYS[1], DAY)
  return { 'known' }
end

-- What is of another kind was written by somebody else, and is of no use.
local function fetch(command, key, ...)
  local found = redis.pcall(command, key, ...)
  if type(found) == 'table' and found.err then
    redis.call('DEL', key)
    return {}
  end
  return found
end

fetch('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))
if what == 'enter' then
  return live()
end
local living = {}
for _, process in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  living['in/' .. process] = true
end
if not living['in/' .. me] then
  return {}
end
if what == 'stay' then
  return live()
end

-- What is known of a user, and whether a process that lives has them.
local function read(key)
  local room, here = {}, false
  local fields = fetch('HGETALL', key)
  for i = 1, #fields, 2 do
    room[fields[i]] = fields[i + 1]
    here = here or living[fields[i]] or false
  end
  return room, here
end

local answer = { 'known' }
local function say(room, here)
  table.insert(answer, here and (room.status or 'online') or '')
  table.insert(answer, here and room.text or '')
  table.insert(answer, here and room.at or '0')
end

if what == 'ask' then
  for i = 2, #KEYS do
    say(read(KEYS[i]))
  end
  return answer
end

local key, before, word = KEYS[2], 'in/' .. ARGV[4], ARGV[5]
local status, text, at = ARGV[6], ARGV[7], tonumber(ARGV[8])
local room, here = read(key)
if not here then
  -- Of an earlier time, or of processes that died.
  redis.call('DEL', key)
  room = {}
end
if word == 'here' then
  redis.call('HSET', key, 'in/' .. me, whole(now))
elseif word == 'gone' then
  redis.call('HDEL', key, 'in/' .. me)
end
if word ~= 'says' then
  redis.call('HDEL', key, before)
end
for field in pairs(room) do
  if string.sub(field, 1, 3) == 'in/' and not living[field] then
    redis.call('HDEL', key, field)
  end
end
room, here = read(key)
if not here then
  redis.call('DEL', key)
elseif status then
  local known = tonumber(room.at) or 0
  if at == 0 then
    at = math.max(now, known + 1)
  end
  if at >= known then
    redis.call('HSET', key, 'status', status, 'text', text, 'at', whole(at))
    room.status, room.text, room.at = status, text, whole(at)
  end
end
redis.call('EXPIRE', key, DAY)
say(room, here)
return answer
