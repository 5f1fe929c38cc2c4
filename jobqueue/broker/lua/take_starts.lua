-- Counts starts against a rate limit, as many as it leaves now; as `claim` does it for the messages that it takes.
-- starts: the list of the last ones; rate: the limit; wanted: how many are to start; window: milliseconds for which
-- a start counts.
-- Returns how many may start, and if these are fewer the milliseconds until the next one may.
local clock = redis.call('TIME')
local milliseconds = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
rate, wanted, window = tonumber(rate), tonumber(wanted), tonumber(window)
if rate == 0 then
  return {0, window}
end
local text = call('LINDEX', starts, 0)
local newest = tonumber(text)
if text and not newest then
  store().set_aside(starts, 'the job queue did not write it, no times stand in it')
end
-- What was lost counts as a second just used up, and so does what is from the future.
if not newest or newest > milliseconds then
  call('DEL', starts)
  for _ = 1, rate do
    call('LPUSH', starts, milliseconds)
  end
end
local left, pause = 0, nil
while left < wanted and left < rate do
  local start = tonumber(call('LINDEX', starts, rate - 1 - left))
  if start and start <= milliseconds and start + window > milliseconds then
    pause = start + window - milliseconds
    break
  end
  left = left + 1
end
for _ = 1, left do
  call('LPUSH', starts, milliseconds)
end
call('LTRIM', starts, 0, rate - 1)
return {left, pause or 0}
