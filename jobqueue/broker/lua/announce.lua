-- Says that a worker lives, and hears of the others.
-- member: the worker's id and what it says of itself; keep: seconds for which a word counts.
-- Returns {member, when it was last heard, ...} of all that live, itself too; the times as texts.
local MOST = 1000
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
keep = tonumber(keep)
call('ZADD', key.alive, string.format('%.6f', now), member)
-- Also what a Redis wrote whose clock was ahead.
call('ZREMRANGEBYSCORE', key.alive, '-inf', now - keep)
call('ZREMRANGEBYSCORE', key.alive, now + keep, '+inf')
return call('ZREVRANGEBYSCORE', key.alive, '+inf', '-inf', 'WITHSCORES', 'LIMIT', 0, MOST)
