// Package resolve finds mail hosts in DNS (RFC 5321 section 5.1, RFC 7505).
//
// It asks recursive servers directly, over UDP and, where an answer was cut, over
// TCP, and keeps answers and their absence as long as they say. What it cannot
// find out is a temporary error: a broken DNS never bounces mail.
//
// Addresses from the hosts file are not seen here; where an administrator wants
// them, the hop names an address.
package resolve
