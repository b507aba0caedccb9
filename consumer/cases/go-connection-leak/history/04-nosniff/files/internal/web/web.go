// Package web is the HTTP interface.
package web

import (
	"errors"
	"log/slog"
	"net/http"

	"shop.example/avatars/internal/media"
	"shop.example/avatars/internal/settings"
)

// NewHandler makes the routes.
func NewHandler(s settings.Settings) http.Handler {
	store := media.NewStore(s)
	routes := http.NewServeMux()
	routes.HandleFunc("GET /avatars/{customer}", func(w http.ResponseWriter, r *http.Request) {
		show(w, r, store)
	})
	return routes
}

func show(w http.ResponseWriter, r *http.Request, store *media.Store) {
	customer := r.PathValue("customer")
	picture, err := store.Avatar(customer)
	if errors.Is(err, media.ErrNone) {
		http.Error(w, "no picture", http.StatusNotFound)
		return
	}
	if err != nil {
		slog.Error("no picture", "customer", customer, "error", err)
		http.Error(w, "the media store failed", http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", picture.Type)
	w.Header().Set("Cache-Control", "private, max-age=300")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, err := w.Write(picture.Data); err != nil {
		slog.Warn("the picture was not sent", "customer", customer, "error", err)
	}
}
