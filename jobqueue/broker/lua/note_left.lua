-- Lists a foreign message as set aside that nobody has decided about.
-- queue; id; reason: why nobody has.
store().note_message(queue, id, reason)
return 1
