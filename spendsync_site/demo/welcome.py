"""What the demo says once it is up."""

WELCOME = """

SpendSync is running: {address}/admin/
Login: admin, password: admin (this demo only)

What to look at:
  Is anything wrong?      {address}/admin/jobqueue/
  Failures by cause       {address}/admin/jobqueue/cause/
                          one is an error of our own: four attempts, then failed
  Jobs, new and done      {address}/admin/jobqueue/job/
  What runs now           {address}/admin/jobqueue/job/running/
                          stop the worker there: another one starts {next_worker:g} s later
  What goes out, and when {address}/admin/jobqueue/job/calendar/
  Queues with counts      {address}/admin/jobqueue/queue/
  Settlements, payments   {address}/admin/settlements/settlement/
                          create one: its e-mails follow, its reminders come within seconds
  A payment on its way    the bank answers after {seconds} s, then its settlement is completed
  E-mails and refusals    {address}/admin/settlements/emaildelivery/
                          {greylisted} takes its letters when they come again,
                          {slow} only after the debt was paid: that reminder is skipped,
                          {unknown} does not exist and is barred: {address}/admin/settlements/barredaddress/
  Money that fits nowhere {address}/admin/settlements/discrepancy/
  Health and metrics      {address}/health/queues and {address}/metrics
  E-mails                 {mail}/*.eml
To use manage.py on this demo in another terminal: set -a; . {environment}; set +a

Ctrl-C stops everything.

"""
