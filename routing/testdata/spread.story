# Two bridgeheads on each side and two ways of one price. Unless told otherwise a
# server stays with one; "spread" deals messages out in 64 parts, by weight.
|   mbx-1, bh-1, bh-2 ==two== far-1, far-2   (10, bh-2 and far-2 weigh 3)
|                     ==one== far-1          (10)
server mbx-1 here
server bh-1 here
server bh-2 here
server far-1 far
server far-2 far
rgc two here far 10 local=bh-1,bh-2 remote=far-1,far-2 weights=bh-2:3,far-2:3
smtp east here local=bh-1 space=SMTP:*.org;5
smtp west here local=bh-2 space=SMTP:*.org;5 weight=3
self mbx-1

# Per server: all of it one way.
share server far-2
share address SMTP example.org
ask server far-2
# Per message: who hands over to whom, and who receives.
set two spread
share server far-2
share server far-2 from=bh-1
share server far-2 from=bh-2
ask server far-2
ask server far-2 bucket=7
ask server far-2 from=bh-1 bucket=7
# One of two is lost: what it had moves, and nothing else.
set far-2 down
share server far-2 from=bh-1
set far-2 up
# Two connectors of one price: both spread, by their weights. A bridgehead of one
# of them still prefers its own.
set east spread
set west spread
share address SMTP example.org
share address SMTP example.org from=bh-1
ask address SMTP example.org
# One spreads and the other does not: the other has the same lot in each draw.
set west spread=no
share address SMTP example.org
