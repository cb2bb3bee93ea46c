package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// traced is an error that says more when it is asked for everything.
type traced struct{ error }

func (e traced) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprint(f, e.error)
	if f.Flag('+') {
		_, _ = fmt.Fprint(f, " and where it was made")
	}
}

// broken is an error that cannot say what it is where it is none.
type broken struct{ why error }

func (b *broken) Error() string { return b.why.Error() }

func (b *broken) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, b.Error()) }

// A line about an error that is none is a line, not the end of the node.
func TestErrorThatIsNone(t *testing.T) {
	var none *broken
	line, err := terse{zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())}.EncodeEntry(
		zapcore.Entry{Message: "event"}, []zapcore.Field{zap.Error(none), zap.String("file", "x")})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"msg":"event"`, `"errorError":"PANIC=`, `"file":"x"`} {
		if !strings.Contains(line.String(), want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	fields := []zapcore.Field{zap.String("file", "000012.sst"), zap.Error(traced{errors.New("it is broken")}), zap.NamedError("cause", errors.New("plain")), zap.Error(nil)}
	line, err := terse{zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())}.Clone().EncodeEntry(zapcore.Entry{Message: "event"}, fields)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"file":"000012.sst"`, `"error":"it is broken"`, `"cause":"plain"`} {
		if !strings.Contains(line.String(), want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
	if strings.Contains(line.String(), "where") {
		t.Errorf("%s tells more than what happened", line)
	}
	if fields[1].Type != zapcore.ErrorType {
		t.Error("the caller's field is another now")
	}
}
