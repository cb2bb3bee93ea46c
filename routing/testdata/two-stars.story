# Two connectors for everything outside. Cost decides; in a tie each server
# keeps to one of the two by its GUID, a bridgehead of one prefers its own, and
# one connector with two bridgeheads shares the load without a tie.
|   mbx-1 ... mbx-9    (site)
|   bh-1 --> *   (east)
|   bh-2 --> *   (west)
server mbx-1 site
server mbx-2 site
server mbx-3 site
server mbx-9 site
server mbx-5 site
server mbx-6 site
server bh-1 site
server bh-2 site
smtp east site local=bh-1 space=SMTP:*;10
smtp west site local=bh-2 space=SMTP:*;10
smtp both site local=bh-1,bh-2 space=SMTP:*.org;10
self mbx-1
ask address SMTP example.com
ask address SMTP example.com from=mbx-2
ask address SMTP example.com from=mbx-3
ask address SMTP example.com from=mbx-9
ask address SMTP example.com from=mbx-5
ask address SMTP example.com from=mbx-6
ask address SMTP example.com from=bh-1
ask address SMTP example.com from=bh-2
ask address SMTP example.org
ask address SMTP example.org from=mbx-2
ask address SMTP example.org from=mbx-3
ask address SMTP example.org from=bh-1
# One of them fails: everybody takes the other, bridgeheads included.
set east down=bh-1
ask address SMTP example.com
ask address SMTP example.com from=mbx-3
ask address SMTP example.com from=bh-1
set east up
# One bridgehead of the shared connector fails: only its share moves.
set both down=bh-1
ask address SMTP example.org
ask address SMTP example.org from=mbx-3
ask address SMTP example.org from=bh-1
