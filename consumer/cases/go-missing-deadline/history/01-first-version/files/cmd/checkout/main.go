// The checkout service.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"shop.example/checkout/internal/checkout"
	"shop.example/checkout/internal/config"
)

func main() {
	path := "config/checkout.json"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	config, err := config.Load(path)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr:              config.Listen,
		Handler:           checkout.NewHandler(config),
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
