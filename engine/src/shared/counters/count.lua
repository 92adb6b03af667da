-- The rule of window.rs. Counts one event of each key, or of none: the first that is full says how long to wait.
--
-- ARGV: the present moment in microseconds, negative for Redis' own; then of each key its limit, the length of its window in microseconds, and
-- the window that the caller has seen last: when it began (negative: none), what was before, its count, and 1 where the caller has counted
-- alone since. What Redis has lost, or has not been told, begins from that.
-- Returns 1, 0, 0, or 0, the number of the key that is full and the wait; then the window of each key up to that one: began, before, count.
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function advance(window)
  local since = math.max(now - window.began, 0)
  if since >= 2 * window.length or (window.before == 0 and window.count == 0) then
    window.began, window.before, window.count = now, 0, 0
  elseif since >= window.length then
    window.began, window.before, window.count = window.began + window.length, window.count, 0
  end
  window.elapsed = math.max(now - window.began, 0)
  local left = math.max(window.length - window.elapsed, 0)
  window.weight = window.count + math.floor(window.before * left / window.length)
  return window
end

local function wait(window, limit)
  local function fades(counted, free)
    return math.max(window.length - math.floor(window.length * free / math.max(counted, 1)), 0)
  end
  if window.count >= limit then
    return math.max(window.length - window.elapsed, 0) + fades(window.count, limit) + 1
  end
  return math.max(fades(window.before, limit - window.count) - window.elapsed, 0) + 1
end

local function read(key, at, length)
  local stored = redis.call('HMGET', key, 'began', 'before', 'count')
  local seen
  if tonumber(ARGV[at]) >= 0 then
    seen = { began = tonumber(ARGV[at]), before = tonumber(ARGV[at + 1]), count = tonumber(ARGV[at + 2]), length = length }
    advance(seen)
  end
  if not stored[1] then
    return seen or advance({ began = now, before = 0, count = 0, length = length })
  end
  local window = advance({ began = tonumber(stored[1]), before = tonumber(stored[2]), count = tonumber(stored[3]), length = length })
  if seen and ARGV[at + 3] == '1' then
    if seen.began == window.began then
      window.before, window.count = math.max(window.before, seen.before), math.max(window.count, seen.count)
      advance(window)
    elseif seen.weight > window.weight then
      window = seen
    end
  end
  return window
end

local function write(key, window)
  redis.call('HSET', key, 'began', string.format('%.0f', window.began), 'before', string.format('%.0f', window.before),
    'count', string.format('%.0f', window.count))
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(window.length / 500) + 1000))
end

local windows, answer = {}, { 1, 0, 0 }
for number, key in ipairs(KEYS) do
  local at = 6 * number - 4
  local limit, length = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local window = read(key, at + 2, length)
  windows[number] = window
  if window.weight >= limit then
    answer = { 0, number, wait(window, limit) }
    write(key, window)
    break
  end
end
for number, window in ipairs(windows) do
  if answer[1] == 1 then
    window.count = window.count + 1
    write(KEYS[number], window)
  end
  answer[#answer + 1] = window.began
  answer[#answer + 1] = window.before
  answer[#answer + 1] = window.count
end
return answer
