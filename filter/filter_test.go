package filter

import (
	"errors"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	for _, c := range []struct {
		subject Subject
		text    string
		want    string
	}{
		{Messages, `sender=a@B.example`, `sender = a@B.example`},
		{Messages, `sender = <a@b.example>`, `sender = a@b.example`},
		{Messages, `sender=<>`, `sender = ""`},
		{Messages, `sender = "" and error=""`, `sender = "" and error = ""`},
		{Messages, `message-id=<x<y@z>`, `message-id = "x<y@z"`},
		{Messages, `recipient ~ *@shop.example`, `recipient ~ *@shop.example`},
		{Messages, `SIZE>=1024`, `size >= 1KiB`},
		{Messages, `size > 5M or size < 1kb`, `size > 5MiB or size < 1KB`},
		{Messages, `size = 1GiB`, `size = 1GiB`},
		{Messages, `size != 1500`, `size != 1500`},
		{Messages, `age > 1h30m`, `age > 90m`},
		{Messages, `age<=48h`, `age <= 2d`},
		{Messages, `age > 0m`, `age > 0s`},
		{Messages, `priority = HIGH`, `priority = high`},
		{Messages, `attempts > 03`, `attempts > 3`},
		{Messages, `a = b`, ``},
		{Messages, `sender = a or sender = b and not sender = c`, `sender = a or sender = b and not sender = c`},
		{Messages, `(sender = a or sender = b) and not (sender = c)`, `(sender = a or sender = b) and not sender = c`},
		{Messages, `((sender = a and (sender = b and sender = c)))`, `sender = a and sender = b and sender = c`},
		{Messages, `NOT not(sender = a AND sender = b)`, `not not (sender = a and sender = b)`},
		{Messages, `error ~ "*said \"no\" \\*"`, `error ~ "*said \"no\" \\*"`},
		{Messages, `error ~ *\**`, `error ~ "*\\**"`},
		{Messages, `error = "and"`, `error = "and"`},
		{Messages, "\tsender\n=\u00a0a ", `sender = a`},
		{Queues, `state = retry and messages > 100 and oldest > 2h`, `state = retry and messages > 100 and oldest > 2h`},
		{Queues, `bytes>=10K or reason ~ *path*`, `bytes >= 10KiB or reason ~ *path*`},
		{Queues, `kind = "Local delivery"`, `kind = "Local delivery"`},
		{Queues, `node = paris-1 and class ~ high*`, `node = paris-1 and class ~ high*`},
	} {
		f, err := Parse(c.subject, c.text)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: no error", c.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if f.String() != c.want || f.Subject() != c.subject {
			t.Errorf("%s: %s, want %s", c.text, f, c.want)
		}
	}
}

// Every error has the column of the fault and a cure that an administrator can type.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		subject Subject
		text    string
		want    string
	}{
		{Messages, `domain.example`, `filter, column 1: "domain.example" stands alone, a filter compares a field with a value; write recipient ~ *@domain.example, or destination = domain.example`},
		{Queues, `domain.example`, `filter, column 1: "domain.example" stands alone, a filter compares a field with a value; write destination = domain.example`},
		{Queues, `state = retry and "shop.example"`, `filter, column 19: "shop.example" stands alone, a filter compares a field with a value; write destination = shop.example`},
		{Messages, `a@b.example`, `filter, column 1: "a@b.example" stands alone, a filter compares a field with a value; write recipient = a@b.example or sender = a@b.example`},
		{Queues, ` Retry`, `filter, column 2: "Retry" stands alone, a filter compares a field with a value; write state = retry`},
		{Messages, `size`, `filter, column 1: the field size is compared with nothing; write an operator and a value behind it: =, !=, ~, <, <=, > or >=`},
		{Messages, ``, `filter, column 1: the filter ends where a comparison belongs; write a comparison, such as sender ~ *@domain.example`},
		{Queues, `state = retry and`, `filter, column 18: the filter ends where a comparison belongs; write a comparison, such as state = retry`},
		{Queues, `state = retry and or`, `filter, column 19: "or" stands where a comparison belongs; write a comparison, such as state = retry`},
		{Queues, `= retry`, `filter, column 1: "=" stands where a comparison belongs; write a comparison, such as state = retry`},
		{Queues, `()`, `filter, column 2: ")" stands where a comparison belongs; write a comparison, such as state = retry`},
		{Queues, `(state = retry`, `filter, column 1: this parenthesis is never closed; write ) at its end`},
		{Queues, `state = retry)`, `filter, column 14: this ) closes nothing; take it away, or write the ( that belongs to it`},
		{Queues, `state = retry messages > 5`, `filter, column 15: "messages" follows a comparison; write "and" or "or" between two comparisons, and a value with blanks in quotes`},
		{Queues, `kind = Local delivery`, `filter, column 14: "delivery" follows a comparison; write "and" or "or" between two comparisons, and a value with blanks in quotes`},
		{Queues, `state =`, `filter, column 8: state = has no value; write one; the empty text is "", and a keyword needs quotes`},
		{Queues, `reason = and`, `filter, column 10: reason = has no value; write one; the empty text is "", and a keyword needs quotes`},
		{Queues, `reason = "a`, `filter, column 10: this quote is never closed; write " at the end of the value; within it, \" is a quote`},
		{Messages, `sender = 'a b'`, `filter, column 10: a value begins with '; write " around a value with blanks, and around one that begins with '`},
		{Messages, `size ~ 5*`, `filter, column 8: size has an order and no pattern; write <, <=, > or >=`},
		{Messages, `size > 5X`, `filter, column 8: "5X" is no size; write octets as a whole number, with or without a unit: 500, 10K, 5M, 1GiB, 20MB`},
		{Messages, `size > 9999999999G`, `filter, column 8: "9999999999G" is no size; write octets as a whole number, with or without a unit: 500, 10K, 5M, 1GiB, 20MB`},
		{Messages, `size > -1`, `filter, column 8: "-1" is no size; write octets as a whole number, with or without a unit: 500, 10K, 5M, 1GiB, 20MB`},
		{Messages, `age > 2`, `filter, column 7: "2" is no age; write whole numbers with units s, m, h, d or w: 90s, 30m, 2h, 1h30m, 3d`},
		{Messages, `age > h`, `filter, column 7: "h" is no age; write whole numbers with units s, m, h, d or w: 90s, 30m, 2h, 1h30m, 3d`},
		{Messages, `age > ""`, `filter, column 7: "" is no age; write whole numbers with units s, m, h, d or w: 90s, 30m, 2h, 1h30m, 3d`},
		{Messages, `age = 2h`, `filter, column 7: an age is hardly ever equal to another; write age > 2h or age < 2h`},
		{Messages, `attempts = many`, `filter, column 12: "many" is no number; write a whole number: attempts = 3`},
		{Messages, `sender < b`, `filter, column 10: sender is a text and has no order; write =, != or ~`},
		{Messages, `priority = urgent`, `filter, column 12: priority has no value "urgent"; write one of high, normal, low`},
		{Messages, `priority ~ h*`, `filter, column 12: priority is one of a few words and has no pattern; write = or !=, with one of high, normal, low`},
		{Messages, `oldest > 2h`, `filter, column 1: messages have no field "oldest", only queues have; fields are node, queue, kind, destination, nexthop, connector, state, error, sender, recipient, size, age, priority, attempts, message-id`},
		{Queues, `sender = a`, `filter, column 1: queues have no field "sender", only messages have; fields are node, queue, kind, destination, nexthop, connector, state, error, messages, bytes, oldest, class, reason`},
		{Messages, `subject ~ x`, `filter, column 1: messages have no field "subject"; fields are node, queue, kind, destination, nexthop, connector, state, error, sender, recipient, size, age, priority, attempts, message-id`},
		{Messages, `sender == a`, `filter, column 8: there is no operator ==; write =`},
		{Messages, `sender =~ a`, `filter, column 8: there is no operator =~; write ~`},
		{Messages, `sender !~ a`, `filter, column 8: there is no operator !~; write "not" before the field, and ~`},
		{Messages, `sender <> a`, `filter, column 8: there is no operator <>; write !=`},
		{Messages, `size =< 5`, `filter, column 6: there is no operator =<; write <=`},
		{Messages, `sender ! a`, `filter, column 8: there is no operator !; write != between field and value, or "not" before the comparison`},
		{Messages, "sender = ä and \xff", `filter, column 16: this is no UTF-8; write the filter in UTF-8`},
		{Messages, "sender = a \x00", `filter, column 12: "\x00" follows a comparison; write "and" or "or" between two comparisons, and a value with blanks in quotes`},
	} {
		_, err := Parse(c.subject, c.text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %v is no *SyntaxError", c.text, err)
			continue
		}
		if err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// The domain of a destination is enough: it is what the cure of an error proposes.
func TestDestinationTexts(t *testing.T) {
	for listed, want := range map[string]string{
		"":                           "",
		"local":                      "local",
		"paris-1":                    "paris-1",
		"SMTP:shop.example":          "SMTP:shop.example,shop.example",
		"SMTP:shop.example over far": "SMTP:shop.example over far,shop.example",
		"X400:":                      "X400:",
	} {
		if got := strings.Join(DestinationTexts(listed), ","); got != want {
			t.Errorf("%s: %s, want %s", listed, got, want)
		}
	}
}

// fake is a record of one message or queue.
type fake struct {
	texts   map[Field][]string
	numbers map[Field]int64
	unknown map[Field]bool
	asked   map[Field]int
}

func (f *fake) Text(x Field) ([]string, bool) {
	f.count(x)
	return f.texts[x], !f.unknown[x]
}

func (f *fake) Number(x Field) (int64, bool) {
	f.count(x)
	return f.numbers[x], !f.unknown[x]
}

func (f *fake) count(x Field) {
	if f.asked != nil {
		f.asked[x]++
	}
}

func TestMatch(t *testing.T) {
	m := &fake{
		texts: map[Field][]string{
			Sender: {"Alice@Example.test"}, Recipient: {"bob@shop.example", "Zoë@STRASSE.example"}, State: {"retry"},
			Error: {"452 4.2.2 mailbox full *"}, MessageID: {"1@example.test"}, Priority: {"normal"}, Queue: {"3kx9", "local"},
		},
		numbers: map[Field]int64{Size: 5 << 20, Age: 2 * 3600 * 1000, Attempts: 3},
	}
	for text, want := range map[string]bool{
		`sender = alice@example.TEST`:                   true,
		`sender = <alice@example.test>`:                 true,
		`sender != alice@example.test`:                  false,
		`sender = ""`:                                   false,
		`sender = alice`:                                false,
		`sender ~ alice`:                                false,
		`sender ~ alice*`:                               true,
		`sender ~ <*@example.test>`:                     true,
		`sender ~ ?lice@*`:                              true,
		`sender ~ ??lice@*`:                             false,
		`recipient = bob@shop.example`:                  true,
		`recipient ~ *@strasse.example`:                 true,
		`recipient = ZOË@strasse.example`:               true,
		`recipient != bob@shop.example`:                 false,
		`recipient != carol@shop.example`:               true,
		`error ~ *FULL*`:                                true,
		`error ~ "*full \*"`:                            true,
		`error ~ "*full\\**"`:                           false,
		`error ~ "452 4.2.2 mailbox full \*"`:           true,
		`error ~ ""`:                                    false,
		`nexthop = ""`:                                  true,
		`nexthop ~ *`:                                   true,
		`nexthop ~ ?*`:                                  false,
		`size = 5M`:                                     true,
		`size > 5M`:                                     false,
		`size >= 5M`:                                    true,
		`size < 5243K`:                                  true,
		`size <= 5242880`:                               true,
		`size != 5M`:                                    false,
		`age > 119m`:                                    true,
		`age > 2h`:                                      false,
		`age < 3d`:                                      true,
		`attempts = 3 and not attempts > 3`:             true,
		`message-id = "<1@example.test>"`:               true,
		`priority = normal and state != active`:         true,
		`state = active or state = retry and size > 1K`: true,
		`(state = active or state = retry) and size=1`:  false,
		`not state = active and not state = ready`:      true,
		`queue = 3KX9 and queue = local`:                true,
	} {
		f, err := Parse(Messages, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := f.Match(m); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if !(*Filter)(nil).Match(m) || (*Filter)(nil).String() != "" || (*Filter)(nil).Expr() != nil {
		t.Error("the nil filter is not everything")
	}
}

// What a record does not know decides only where nothing else does.
func TestJudgeUnknown(t *testing.T) {
	for text, want := range map[string]Verdict{
		`sender = a`:                                   Unknown,
		`sender = a and state = retry`:                 Unknown,
		`sender = a and state = active`:                No,
		`state = active and sender = a`:                No,
		`sender = a or state = retry`:                  Yes,
		`sender = a or state = active`:                 Unknown,
		`not sender = a`:                               Unknown,
		`size > 5 and attempts = 0`:                    Unknown,
		`not (sender = a and state = active)`:          Yes,
		`sender = a or not (state = retry and age>0s)`: Unknown,
	} {
		f, err := Parse(Messages, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		r := &fake{texts: map[Field][]string{State: {"retry"}}, numbers: map[Field]int64{Age: 1}, unknown: map[Field]bool{Sender: true, Size: true}}
		if got := f.Judge(r); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestFieldsAreAskedLazily(t *testing.T) {
	f, err := Parse(Messages, `state = retry and sender = a and recipient = b`)
	if err != nil {
		t.Fatal(err)
	}
	r := &fake{texts: map[Field][]string{State: {"retry"}, Sender: {"x"}}, asked: map[Field]int{}}
	f.Match(r)
	if r.asked[State] != 1 || r.asked[Sender] != 1 || r.asked[Recipient] != 0 {
		t.Errorf("asked %v", r.asked)
	}
}

func TestFieldsHaveNames(t *testing.T) {
	for f := range fieldCount {
		if f.String() == "" {
			t.Errorf("field %d has no name", f)
		}
		if got, ok := named(f.String()); !ok || got != f {
			t.Errorf("%s is found as %v", f, got)
		}
	}
	if len(Fields(Messages)) == 0 || len(Fields(Queues)) == 0 {
		t.Error("a subject without fields")
	}
}
