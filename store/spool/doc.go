// Package spool keeps accepted messages until each of their recipients is
// settled. It knows bytes, keys and message identifiers; it does not know SMTP.
package spool
