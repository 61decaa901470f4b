// Verifies tokens with go-oidc, which finds the keys by the issuer's discovery document: reads the cases from the file
// named on the command line, prints the verdicts.
package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
)

type testCase struct {
	Token     string `json:"token"`
	Algorithm string `json:"algorithm"`
	Audience  string `json:"audience"`
	Issuer    string `json:"issuer"`
}

type task struct {
	BrokerURL string     `json:"brokerUrl"`
	JwksURL   string     `json:"jwksUrl"`
	Cases     []testCase `json:"cases"`
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
	if one.Issuer != given.BrokerURL {
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

func check(err error) {
	if err != nil {
		panic(err)
	}
}
