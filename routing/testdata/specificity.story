# Specificity before cost: *.net at cost 100 beats * at cost 1 for x.net; a name
# beats *.marketing names; a pattern is read up to its first wildcard from the
# right, so abc.*.company.com serves all of *.company.com.
|   hq-1 --> *;1 (all)      far-1 --> *.net;100 (net)
|     \______________100______/  \--> abc.*.company.com;5 (odd)
server hq-1 hq
server far-1 far
rgc hq-far hq far 100 local=hq-1 remote=far-1
rgc far-hq far hq 100 local=far-1 remote=hq-1
smtp all hq local=hq-1 space=SMTP:*;1
smtp net far local=far-1 space=SMTP:*.net;100
smtp odd far local=far-1 space=SMTP:abc.*.company.com;5
smtp plain hq local=hq-1 space=SMTP:*.company.com;3
smtp exact far local=far-1 space=SMTP:www.company.com;50
self hq-1

ask address SMTP x.net
ask address SMTP net
ask address SMTP x.net.example
# Equal patterns, so cost decides between odd and plain, whatever stands before the wildcard.
ask address SMTP abc.x.company.com
ask address SMTP zzz.company.com
ask address SMTP zzz.company.com from=far-1
ask address SMTP company.com
ask address SMTP www.company.com
# *.net is down: its mail waits rather than take *.
set net down=far-1
ask address SMTP x.net
# plain is down: odd serves the same.
set plain down=hq-1
ask address SMTP zzz.company.com
