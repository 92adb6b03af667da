-- Counts a key from zero. An empty window stays, so that a replica that remembers the old one does not take it for lost.
--
-- ARGV: the present moment in microseconds, negative for Redis' own; the length of the window in microseconds.
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
redis.call('HSET', KEYS[1], 'began', string.format('%.0f', now), 'before', '0', 'count', '0')
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(tonumber(ARGV[2]) / 500) + 1000))
return 1
