// Verifies tokens with go-oidc, which finds the keys by the issuer's discovery document: reads the cases from the file
// named on the command line, prints the verdicts.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

type testCase struct {
	Token     string `json:"token"`
	Algorithm string `json:"algorithm"`
	Audience  string `json:"audience"`
	Issuer    string `json:"issuer"`
	// The keys and the time of the case; without them the live ones count.
	KeySet *int  `json:"keySet"`
	Now    int64 `json:"now"`
}

type task struct {
	BrokerURL string            `json:"brokerUrl"`
	JwksURL   string            `json:"jwksUrl"`
	Cases     []testCase        `json:"cases"`
	KeySets   []json.RawMessage `json:"keySets"`
}

type verdict struct {
	Accepted bool   `json:"accepted"`
	Detail   string `json:"detail"`
}

func main() {
	data, err := os.ReadFile(os.Args[1])
	check(err)
	var given task
	check(json.Unmarshal(data, &given))
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, given.BrokerURL)
	check(err)
	verdicts := []verdict{}
	for _, one := range given.Cases {
		verdicts = append(verdicts, verify(ctx, provider, given, one))
	}
	check(json.NewEncoder(os.Stdout).Encode(verdicts))
}

func verify(ctx context.Context, provider *oidc.Provider, given task, one testCase) verdict {
	verifier := provider.Verifier(&oidc.Config{ClientID: one.Audience})
	if one.KeySet != nil {
		keys := oidc.NewRemoteKeySet(oidc.ClientContext(ctx, always(given.KeySets[*one.KeySet])), given.JwksURL)
		verifier = oidc.NewVerifier(one.Issuer, keys, &oidc.Config{
			ClientID:             one.Audience,
			SupportedSigningAlgs: []string{one.Algorithm},
			Now:                  func() time.Time { return time.Unix(one.Now, 0) },
		})
	} else if one.Issuer != given.BrokerURL {
		verifier = oidc.NewVerifier(one.Issuer, oidc.NewRemoteKeySet(ctx, given.JwksURL), &oidc.Config{
			ClientID:             one.Audience,
			SupportedSigningAlgs: []string{one.Algorithm},
		})
	}
	token, err := verifier.Verify(ctx, one.Token)
	if err != nil {
		return verdict{Detail: err.Error()}
	}
	return verdict{Accepted: true, Detail: token.Subject}
}

// always is a client to which every address answers with this document.
func always(document []byte) *http.Client {
	return &http.Client{Transport: answering(func(request *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK,
			Header:     http.Header{"Content-Type": {"application/json"}},
			Body:       io.NopCloser(bytes.NewReader(document)),
			Request:    request,
		}, nil
	})}
}

type answering func(*http.Request) (*http.Response, error)

func (answer answering) RoundTrip(request *http.Request) (*http.Response, error) {
	return answer(request)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
