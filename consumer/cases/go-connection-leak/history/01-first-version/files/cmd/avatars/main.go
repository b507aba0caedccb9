// The avatars service.
package main

import (
	"log"
	"net/http"
	"time"

	"shop.example/avatars/internal/settings"
	"shop.example/avatars/internal/web"
)

func main() {
	s, err := settings.Load("config/avatars.yaml")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: s.Listen, Handler: web.NewHandler(s), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
