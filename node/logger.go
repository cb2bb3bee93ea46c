package node

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// Every message makes several lines, so lines below warn wait a moment for
// company; a node that dies may lose that many of its last lines, never a
// message.
const logFlush = 100 * time.Millisecond

func (c LogConfig) check() error {
	var errs []error
	if !slices.Contains([]string{"", "debug", "info", "warn", "error"}, c.Level) {
		errs = append(errs, fmt.Errorf("log.level %q: must be debug, info, warn or error", c.Level))
	}
	if !slices.Contains([]string{"", "json", "console"}, c.Format) {
		errs = append(errs, fmt.Errorf("log.format %q: must be json or console", c.Format))
	}
	return errors.Join(errs...)
}

// forgiving drops lines that cannot be written. A buffer keeps its first error,
// so a disk that was full for a moment would silence the log for good; and what
// cannot be synced (a pipe, a terminal, the journal's socket) is no reason for a
// clean stop to fail.
type forgiving struct{ to zapcore.WriteSyncer }

func (f forgiving) Write(line []byte) (int, error) {
	_, _ = f.to.Write(line)
	return len(line), nil
}

func (f forgiving) Sync() error {
	_ = f.to.Sync()
	return nil
}

// terse writes errors in one line: zap would add the stack traces that some carry, those
// of the store for one, in a field of some thousand octets.
type terse struct{ zapcore.Encoder }

func (e terse) Clone() zapcore.Encoder { return terse{e.Encoder.Clone()} }

func (e terse) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	for i, f := range fields {
		err, ok := f.Interface.(error)
		if _, long := err.(fmt.Formatter); !ok || !long || f.Type != zapcore.ErrorType {
			continue
		}
		fields = slices.Clone(fields)              // they are the caller's, and other encoders'
		fields[i].Interface = struct{ error }{err} // an error still, as zap survives those that panic
	}
	return e.Encoder.EncodeEntry(entry, fields)
}

// newLogger writes one event a line to standard error, times in UTC. stop writes
// what still waits.
func newLogger(c LogConfig) (log *zap.Logger, stop func() error, err error) {
	if err := c.check(); err != nil {
		return nil, nil, err
	}
	level := zapcore.InfoLevel
	if err := level.Set(c.Level); err != nil {
		return nil, nil, err
	}
	format := zap.NewProductionEncoderConfig()
	format.EncodeTime = func(t time.Time, enc zapcore.PrimitiveArrayEncoder) { zapcore.RFC3339NanoTimeEncoder(t.UTC(), enc) }
	format.EncodeDuration = zapcore.StringDurationEncoder
	format.TimeKey, format.MessageKey, format.NameKey = "ts", "event", "part"
	encoder := zapcore.NewJSONEncoder(format)
	if c.Format == "console" {
		encoder = zapcore.NewConsoleEncoder(format)
	}
	encoder = terse{encoder}
	out := &zapcore.BufferedWriteSyncer{WS: zapcore.Lock(forgiving{os.Stderr}), FlushInterval: logFlush}
	core := zapcore.RegisterHooks(zapcore.NewCore(encoder, out, level), func(e zapcore.Entry) error {
		if e.Level >= zapcore.WarnLevel {
			return out.Sync()
		}
		return nil
	})
	return zap.New(core), out.Stop, nil
}
