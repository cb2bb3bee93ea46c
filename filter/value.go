package filter

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

type unit struct {
	name   string
	factor int64
}

// sizeUnits has, of equal factors, the canonical name first.
func sizeUnits() []unit {
	return []unit{
		{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3},
		{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"B", 1},
	}
}

func ageUnits() []unit {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	return []unit{
		{"w", ms(7 * 24 * time.Hour)}, {"d", ms(24 * time.Hour)}, {"h", ms(time.Hour)}, {"m", ms(time.Minute)}, {"s", ms(time.Second)},
	}
}

// parseValue reads what stands behind an operator; the error's column is 0.
func parseValue(f Field, op Op, text string) (Compare, *SyntaxError) {
	sp := f.spec()
	c := Compare{Field: f, Op: op, Text: text}
	if err := sp.allows(op, text); err != nil {
		return c, err
	}
	var ok bool
	switch sp.form {
	case formAddress:
		c.Text = unbracket(text)
	case formWord:
		c.Text = strings.ToLower(text)
		if !slices.Contains(sp.words, c.Text) {
			return c, &SyntaxError{Rule: fmt.Sprintf("%s has no value %q", sp.name, text), Cure: "write one of " + strings.Join(sp.words, ", ")}
		}
	case formSize:
		c.Text = ""
		if c.Number, ok = parseSize(text); !ok {
			return c, &SyntaxError{Rule: fmt.Sprintf("%q is no size", text), Cure: "write octets as a whole number, with or without a unit: 500, 10K, 5M, 1GiB, 20MB"}
		}
	case formAge:
		c.Text = ""
		if c.Number, ok = parseAge(text); !ok {
			return c, &SyntaxError{Rule: fmt.Sprintf("%q is no age", text), Cure: "write whole numbers with units s, m, h, d or w: 90s, 30m, 2h, 1h30m, 3d"}
		}
	case formNumber:
		c.Text = ""
		if c.Number, ok = parseDigits(text); !ok {
			return c, &SyntaxError{Rule: fmt.Sprintf("%q is no number", text), Cure: "write a whole number: " + sp.name + " " + op.String() + " 3"}
		}
	}
	return c, nil
}

// allows says which operators make sense for a form.
func (sp spec) allows(op Op, text string) *SyntaxError {
	switch {
	case sp.form.numeric() && op == Like:
		return &SyntaxError{Rule: sp.name + " has an order and no pattern", Cure: "write <, <=, > or >="}
	case sp.form == formAge && (op == Equal || op == NotEqual):
		return &SyntaxError{Rule: "an age is hardly ever equal to another", Cure: fmt.Sprintf("write %s > %s or %s < %s", sp.name, text, sp.name, text)}
	case !sp.form.numeric() && op >= Less:
		return &SyntaxError{Rule: sp.name + " is a text and has no order", Cure: "write =, != or ~"}
	case sp.form == formWord && op == Like:
		return &SyntaxError{Rule: sp.name + " is one of a few words and has no pattern", Cure: "write = or !=, with one of " + strings.Join(sp.words, ", ")}
	}
	return nil
}

// DestinationTexts are what people call a destination: as it is listed,
// "SMTP:shop.example over branch", and its domain alone.
func DestinationTexts(listed string) []string {
	_, domain, typed := strings.Cut(listed, ":")
	if domain, _, _ = strings.Cut(domain, " over "); !typed || domain == "" {
		return []string{listed}
	}
	return []string{listed, domain}
}

// unbracket takes <> off an address.
func unbracket(s string) string {
	if strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">") {
		return s[1 : len(s)-1]
	}
	return s
}

func parseDigits(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func parseSize(s string) (int64, bool) {
	digits, factor := s, int64(1)
	for _, u := range sizeUnits() {
		if n := len(s) - len(u.name); n > 0 && strings.EqualFold(s[n:], u.name) {
			digits, factor = s[:n], u.factor
			break
		}
	}
	n, ok := parseDigits(digits)
	return n * factor, ok && n <= math.MaxInt64/factor
}

// parseAge reads "1d12h": each unit with a number before it, added up.
func parseAge(s string) (ms int64, ok bool) {
	for s != "" {
		digits := strings.TrimLeft(s, "0123456789")
		n, valid := parseDigits(s[:len(s)-len(digits)])
		i := slices.IndexFunc(ageUnits(), func(u unit) bool { return digits != "" && strings.EqualFold(digits[:1], u.name) })
		if !valid || i < 0 {
			return 0, false
		}
		factor := ageUnits()[i].factor
		if n > (math.MaxInt64-ms)/factor {
			return 0, false
		}
		ms, s, ok = ms+n*factor, digits[1:], true
	}
	return ms, ok
}

func formatNumber(n int64) string { return strconv.FormatInt(n, 10) }

// formatSize writes octets with the largest unit that divides them.
func formatSize(n int64) string {
	for _, u := range sizeUnits() {
		if n > 0 && u.factor > 1 && n%u.factor == 0 {
			return formatNumber(n/u.factor) + u.name
		}
	}
	return formatNumber(n)
}

// formatAge writes an age with the largest unit that divides it.
func formatAge(ms int64) string {
	for _, u := range ageUnits() {
		if ms > 0 && ms%u.factor == 0 {
			return formatNumber(ms/u.factor) + u.name
		}
	}
	return "0s"
}
