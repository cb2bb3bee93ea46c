package dsn

import "github.com/postroad/postroad/node/mail"

// advice tells a human about a status code.
type advice struct {
	cause string // a sentence: what it means
	cure  string // a sentence: what to do; "" if nothing
}

// The status codes a postmaster meets, after the book's table 2 of chapter 7 and
// RFC 3463. Keys are without the class: a code means the same thing, for now or
// for good.
var advices = map[[2]uint16]advice{
	{1, 0}:  {"The address could not be resolved.", "Check the address and send the message again."},
	{1, 1}:  {"The e-mail account does not exist at the organization this message was sent to.", "Check the spelling of the address, or ask the recipient for the right one, and send the message again."},
	{1, 2}:  {"The domain of the address does not exist.", "Check what stands after the @ and send the message again."},
	{1, 3}:  {"The address is not written in the way that mail addresses are.", "Check the address and send the message again."},
	{1, 4}:  {"More than one recipient has this address.", "Tell the administrator of the recipient's organization."},
	{1, 6}:  {"The recipient's mailbox has moved or is not fully set up.", "Tell the administrator of the recipient's organization."},
	{1, 7}:  {"The address of the sender is malformed or missing.", "Check the settings of your mail program and send the message again."},
	{1, 10}: {"The domain of the address has declared that it takes no mail.", "Check what stands after the @."},
	{2, 0}:  {"The recipient's mailbox has a problem.", "Try again later, or reach the recipient in another way."},
	{2, 1}:  {"The recipient's mailbox takes no messages.", "Reach the recipient in another way."},
	{2, 2}:  {"The recipient's mailbox has exceeded its storage limit.", "Try again later, or reach the recipient in another way."},
	{2, 3}:  {"The message is larger than the recipient may receive.", "Make the message smaller, for example without attachments, and send it again."},
	{3, 0}:  {"A server on the way has a problem.", "The administrator of that server has to look into it."},
	{3, 1}:  {"A server on the way has no room left to store mail.", "The administrator of that server has to make room on its disk."},
	{3, 2}:  {"A server on the way takes no mail at the moment, or its queue has been frozen.", "The administrator of that server has to release it."},
	{3, 3}:  {"A server on the way cannot do what this message needs.", "The administrator of that server has to look into it."},
	{3, 4}:  {"The message is larger than a server on the way takes.", "Make the message smaller, for example without attachments, and send it again."},
	{3, 5}:  {"A server is set up so that it would send this mail to itself again and again.", "The administrator has to correct the domains, the connectors or the DNS records of the organization."},
	{4, 0}:  {"The network could not carry the message.", "The administrator has to check DNS and the smart host."},
	{4, 1}:  {"A server on the way is not responding.", "If this goes on, the administrator has to check that the server is running and can be reached."},
	{4, 2}:  {"The connection to a server on the way was dropped.", "If this goes on, the administrator has to check the network and that server."},
	{4, 3}:  {"A directory or DNS server that is needed to find the way is not answering.", "If this goes on, the administrator has to check DNS and the directory."},
	{4, 4}:  {"There is no route to the recipient: no connector takes mail for this address, or its domain has no mail server.", "Check what stands after the @. The administrator has to check the connectors and their address spaces."},
	{4, 5}:  {"A server on the way has too much mail at the moment.", "Send the message again later."},
	{4, 6}:  {"The message went round in a loop.", "The administrator has to find the servers or the forwarding addresses that send it back to each other."},
	{4, 7}:  {"The message waited in a queue until its time was up; a server on the way did not take it.", "Check the address and send the message again; if it fails again, the administrator has to check the receiving server."},
	{4, 8}:  {"The domain of the address is the name of a server, and mail for it would loop.", "The administrator has to take the server's name out of the recipient policies."},
	{5, 0}:  {"The two servers did not understand each other.", "The administrator has to look at the protocol log."},
	{5, 2}:  {"A server on the way did not understand a command.", "The administrator has to look at the protocol log."},
	{5, 3}:  {"The message has too many recipients.", "Send the message to fewer recipients at a time."},
	{6, 0}:  {"A server on the way cannot take this kind of content.", "Send the content in another form."},
	{6, 1}:  {"A server on the way cannot take this kind of content.", "Send the content in another form."},
	{6, 3}:  {"The content would have to be converted for the next server, which is not possible.", "Send the content in another form, for example as an attachment."},
	{6, 7}:  {"The address has characters beyond ASCII, which a server on the way does not take.", "Use another address of the recipient, if there is one."},
	{6, 9}:  {"The header has characters beyond ASCII, which a server on the way does not take.", "Use plain letters in the subject and in the names, and send the message again."},
	{7, 0}:  {"A rule of security stands against the delivery.", "Ask the administrator of the recipient's organization."},
	{7, 1}:  {"You have no permission to send to this recipient, or the server does not relay mail for you.", "Ask the administrator of the recipient's organization."},
	{7, 8}:  {"This server's account at the next server was not accepted.", "The administrator has to check the account of the connector."},
	{7, 10}: {"The next server does not encrypt, and the connector demands it.", "The administrator has to check the connector's security settings and the next server."},
}

// advise finds the words for a status: for the code, else for its subject.
func advise(s mail.Status) advice {
	if a, ok := advices[[2]uint16{s.Subject, s.Detail}]; ok {
		return a
	}
	return advices[[2]uint16{s.Subject, 0}]
}
