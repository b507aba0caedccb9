// Package push hands messages to the push gateway.
package push

import (
	"context"
	"expvar"
	"fmt"
	"log/slog"
	"time"

	"shop.example/notify/internal/flags"
)

const (
	attempts = 4
	pause    = 200 * time.Millisecond
)

var (
	sent   = expvar.NewInt("push_sent")
	failed = expvar.NewInt("push_failed")
)

// Gateway takes one message.
type Gateway interface {
	Deliver(ctx context.Context, device, text string) error
}

// Sender sends with second chances.
type Sender struct {
	gateway Gateway
	flags   *flags.Set
}

// New makes a sender.
func New(gateway Gateway, set *flags.Set) *Sender {
	return &Sender{gateway: gateway, flags: set}
}

// Send delivers a message to a device.
func (s *Sender) Send(ctx context.Context, device, text string) error {
	if s.flags.Bool("short-texts", false) && len(text) > 160 {
		text = text[:160]
	}
	var err error
	for attempt := 1; attempt <= attempts; attempt++ {
		if err = s.gateway.Deliver(ctx, device, text); err == nil {
			sent.Add(1)
			return nil
		}
		slog.WarnContext(ctx, "push failed", "device", device, "attempt", attempt, "error", err)
		if attempt < attempts {
			time.Sleep(pause)
		}
	}
	failed.Add(1)
	return fmt.Errorf("push to %s: %w", device, err)
}
