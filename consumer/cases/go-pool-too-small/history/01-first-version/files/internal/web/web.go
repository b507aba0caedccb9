// Package web is the HTTP interface.
package web

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"shop.example/search/internal/index"
	"shop.example/search/internal/lease"
	"shop.example/search/internal/settings"
)

// NewHandler makes the routes; `dial` opens a session with the index.
func NewHandler(s settings.Settings, dial func() (index.Session, error)) http.Handler {
	desk := lease.NewDesk(s.Sessions, s.Patience, dial)
	routes := http.NewServeMux()
	routes.HandleFunc("GET /search", func(w http.ResponseWriter, r *http.Request) {
		words := strings.TrimSpace(r.URL.Query().Get("q"))
		if words == "" {
			http.Error(w, "expected ?q=", http.StatusBadRequest)
			return
		}
		var skus []string
		err := desk.With(r.Context(), func(session index.Session) (err error) {
			skus, err = session.Query(words, s.Page)
			return err
		})
		answer(w, skus, err)
	})
	return routes
}

func answer(w http.ResponseWriter, skus []string, err error) {
	switch {
	case errors.Is(err, lease.ErrNoneFree):
		slog.Error("no session is free", "error", err)
		http.Error(w, "busy", http.StatusServiceUnavailable)
	case err != nil:
		slog.Error("the query failed", "error", err)
		http.Error(w, "the index failed", http.StatusBadGateway)
	default:
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string][]string{"skus": skus}); err != nil {
			slog.Warn("the answer was not sent", "error", err)
		}
	}
}
