-- Counts starts that came late after their claim once more, as of now: a rate limit is about starts.
-- ARGV: prefix, then (queue, number of starts, rate limit) for each queue.
local prefix, clock = ARGV[1], redis.call('TIME')
local milliseconds = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
for i = 2, #ARGV, 3 do
  local starts, rate = prefix .. ':jobqueue:starts:' .. ARGV[i], tonumber(ARGV[i + 2])
  for _ = 1, tonumber(ARGV[i + 1]) do
    redis.call('LPUSH', starts, milliseconds)
  end
  redis.call('LTRIM', starts, 0, rate - 1)
end
return 1
