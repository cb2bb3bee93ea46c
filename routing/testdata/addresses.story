|                 hub-1, hub-2  --> *;20   (hub-out)
|                /      |     \     *.net;20
|             10       10      10
|             /         |       \
|         west-1      east-1    south-1 --> *.net;1 (south-net)
|      *;5 for west only        *.mil (mil: hold off, TLS)
server hub-1 hub
server hub-2 hub
server west-1 west
server east-1 east
server south-1 south
rgc hub-west hub west 10 local=hub-1 remote=west-1
rgc west-hub west hub 10 local=west-1 remote=hub-1,hub-2
rgc hub-east hub east 10 local=hub-1 remote=east-1
rgc east-hub east hub 10 local=east-1 remote=hub-1,hub-2
rgc hub-south hub south 10 local=hub-1,hub-2 remote=south-1
rgc south-hub south hub 10 local=south-1 remote=hub-1,hub-2
smtp hub-out hub local=hub-1,hub-2 space=SMTP:*;20,SMTP:*.net;20
smtp west-out west local=west-1 space=SMTP:*;5 scope=group
smtp south-net south local=south-1 space=SMTP:*.net;1
smtp mil south local=south-1 space=SMTP:*.mil
smtp odd hub local=hub-2 space=SMTP:abc.*.company.com;3,SMTP:exact.company.com
foreign fax hub local=hub-1 space=FAX:*,X400:c=us;1 size=1000
self east-1

ask address SMTP example.com
ask address SMTP example.com from=west-1
ask address SMTP example.com from=hub-1
ask address SMTP Example.NET
ask address SMTP net
ask address SMTP x.y.company.com
ask address SMTP exact.company.com from=hub-1
ask address SMTP company.com
ask address FAX +49-123
ask address FAX +49-123 size=5000
ask address X400 c=us
ask address X400 c=de
ask address NOTES anyone

# Specificity beats reachability: *.mil waits for its connector.
set mil down=south-1
ask address SMTP army.mil
set mil fallback
ask address SMTP army.mil
# An administrator's pause is not a reason to bounce.
set fax disabled
ask address FAX +49-123
# The less specific one is used when the message may not use the other.
set south-net size=100
ask address SMTP x.net size=50
ask address SMTP x.net size=200

# A chosen connector travels: west in transit does not use its own.
ask address SMTP example.com from=west-1 connector=hub-out
ask address SMTP example.com from=hub-1 connector=west-out
ask address SMTP example.com from=west-1 connector=gone
ask address SMTP example.com from=west-1 connector=mil
set hub-out down=hub-1,hub-2
ask address SMTP example.com from=west-1 connector=hub-out
ask address SMTP example.com from=east-1
