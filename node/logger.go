package node

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger writes one event a line to standard error, times in UTC.
func newLogger(c LogConfig) (*zap.Logger, error) {
	level := zapcore.InfoLevel
	if c.Level != "" {
		if err := level.Set(c.Level); err != nil {
			return nil, fmt.Errorf("log.level %q: must be debug, info, warn or error", c.Level)
		}
	}
	z := zap.NewProductionConfig()
	z.Level = zap.NewAtomicLevelAt(level)
	z.Sampling = nil // an event that matters must not be missing
	z.DisableStacktrace, z.DisableCaller = true, true
	z.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	z.EncoderConfig.TimeKey, z.EncoderConfig.MessageKey, z.EncoderConfig.NameKey = "ts", "event", "part"
	z.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder
	switch c.Format {
	case "", "json":
	case "console":
		z.Encoding = "console"
	default:
		return nil, fmt.Errorf("log.format %q: must be json or console", c.Format)
	}
	return z.Build()
}
