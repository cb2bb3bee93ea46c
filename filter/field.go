package filter

import "strings"

// Subject is what a filter speaks of; it decides which fields there are.
type Subject uint8

// Subjects.
const (
	Messages Subject = iota + 1
	Queues
)

// String is "messages" or "queues".
func (s Subject) String() string {
	if s == Queues {
		return "queues"
	}
	return "messages"
}

// Field is what a comparison looks at.
type Field uint8

// Fields. For which subject: see table.
const (
	Node Field = iota
	Queue
	Kind
	Destination
	NextHop
	Connector
	State
	Error

	Sender
	Recipient
	Size
	Age
	Priority
	Attempts
	MessageID

	Count
	Bytes
	Oldest
	Class
	Reason

	fieldCount
)

// form is how the values of a field are written.
type form uint8

const (
	formText    form = iota
	formAddress      // text, with or without angle brackets
	formWord         // one of a list
	formSize         // octets
	formAge          // milliseconds
	formNumber
)

// numeric says whether values have an order.
func (f form) numeric() bool { return f >= formSize }

type spec struct {
	name     string
	form     form
	messages bool
	queues   bool
	words    []string
}

// table has every field, in the order of the constants.
func table() [fieldCount]spec {
	states := []string{"active", "ready", "waiting", "retry", "scheduled", "remote", "frozen"}
	return [fieldCount]spec{
		Node:        {name: "node", messages: true, queues: true},
		Queue:       {name: "queue", messages: true, queues: true},
		Kind:        {name: "kind", messages: true, queues: true},
		Destination: {name: "destination", messages: true, queues: true},
		NextHop:     {name: "nexthop", messages: true, queues: true},
		Connector:   {name: "connector", messages: true, queues: true},
		State:       {name: "state", form: formWord, messages: true, queues: true, words: states},
		Error:       {name: "error", messages: true, queues: true},

		Sender:    {name: "sender", form: formAddress, messages: true},
		Recipient: {name: "recipient", form: formAddress, messages: true},
		Size:      {name: "size", form: formSize, messages: true},
		Age:       {name: "age", form: formAge, messages: true},
		Priority:  {name: "priority", form: formWord, messages: true, words: []string{"high", "normal", "low"}},
		Attempts:  {name: "attempts", form: formNumber, messages: true},
		MessageID: {name: "message-id", form: formAddress, messages: true},

		Count:  {name: "messages", form: formNumber, queues: true},
		Bytes:  {name: "bytes", form: formSize, queues: true},
		Oldest: {name: "oldest", form: formAge, queues: true},
		Class:  {name: "class", queues: true},
		Reason: {name: "reason", queues: true},
	}
}

func (f Field) spec() spec { return table()[f] }

// String is the name of the field, as it is written in a filter.
func (f Field) String() string {
	if f >= fieldCount {
		return "?"
	}
	return f.spec().name
}

// Numeric says whether a [Record] gives the field by Number.
func (f Field) Numeric() bool { return f < fieldCount && f.spec().form.numeric() }

func (s spec) of(subject Subject) bool {
	if subject == Queues {
		return s.queues
	}
	return s.messages
}

// Fields lists the fields of a subject.
func Fields(s Subject) []Field {
	var out []Field
	for f, sp := range table() {
		if sp.of(s) {
			out = append(out, Field(f))
		}
	}
	return out
}

func names(s Subject) string {
	var out []string
	for _, f := range Fields(s) {
		out = append(out, f.String())
	}
	return strings.Join(out, ", ")
}

// named finds a field of any subject.
func named(name string) (Field, bool) {
	for f, sp := range table() {
		if strings.EqualFold(sp.name, name) {
			return Field(f), true
		}
	}
	return 0, false
}
