// Package pipeline is the one place where the stages of a node meet. Reading
// [New] from top to bottom is reading a message's life:
//
//	vserver ── submit ── categorize ── route ── queue ── deliver ── dsn ─┐
//	              ▲                                                      │
//	              └──────────────────────────────────────────────────────┘
//
// The stages know nothing of each other; what one needs of the next is an
// interface that it declares, and the small adapters are here. So are the views:
// what the admin API shows is read from the stages by view*.go.
package pipeline
