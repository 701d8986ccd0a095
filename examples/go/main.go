// Go takes the proxy from HTTPS_PROXY, and on Linux the CA from SSL_CERT_FILE.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	method, body := http.MethodGet, io.Reader(nil)
	if name := os.Getenv("FILE"); name != "" {
		file, err := os.Open(name)
		if err != nil {
			log.Fatal(err)
		}
		defer file.Close()
		method, body = http.MethodPost, file
	}
	request, err := http.NewRequest(method, os.Getenv("URL"), body)
	if err != nil {
		log.Fatal(err)
	}
	if grant := os.Getenv("GRANT"); grant != "" {
		request.Header.Set("X-Alter-Grant", grant)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.StatusCode)
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		log.Fatal(err)
	}
}
