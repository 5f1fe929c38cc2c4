-- Counts starts that came late after their claim once more, as of now: a rate limit is about starts.
-- starts: the list of the last ones; number: of starts; rate: its limit.
local clock = redis.call('TIME')
local milliseconds = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
for _ = 1, tonumber(number) do
  call('LPUSH', starts, milliseconds)
end
call('LTRIM', starts, 0, tonumber(rate) - 1)
return 1
