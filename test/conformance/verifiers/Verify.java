import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.source.ImmutableJWKSet;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.JSONArrayUtils;
import com.nimbusds.jose.util.JSONObjectUtils;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.ParseException;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Verifies access tokens (RFC 9068) with nimbus-jose-jwt: reads the cases from the file named on the command line, prints the verdicts. */
public class Verify {
  public static void main(String[] args) throws Exception {
    Map<String, Object> task = JSONObjectUtils.parse(Files.readString(Path.of(args[0])));
    JWKSource<SecurityContext> live =
        JWKSourceBuilder.create(new URL(JSONObjectUtils.getString(task, "jwksUrl"))).build();
    List<JWKSource<SecurityContext>> kept = new ArrayList<>();
    if (task.containsKey("keySets")) {
      for (Map<String, Object> set : JSONObjectUtils.getJSONObjectArray(task, "keySets")) {
        kept.add(new ImmutableJWKSet<>(JWKSet.parse(set)));
      }
    }
    List<Object> verdicts = new ArrayList<>();
    for (Map<String, Object> one : JSONObjectUtils.getJSONObjectArray(task, "cases")) {
      boolean isKept = one.containsKey("keySet");
      verdicts.add(verdict(isKept ? kept.get(JSONObjectUtils.getInt(one, "keySet")) : live, one));
    }
    System.out.println(JSONArrayUtils.toJSONString(verdicts));
  }

  private static Map<String, Object> verdict(JWKSource<SecurityContext> keys, Map<String, Object> one)
      throws Exception {
    DefaultJWTProcessor<SecurityContext> processor = new DefaultJWTProcessor<>();
    processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
    JWSAlgorithm algorithm = JWSAlgorithm.parse(JSONObjectUtils.getString(one, "algorithm"));
    processor.setJWSKeySelector(new JWSVerificationKeySelector<>(algorithm, keys));
    JWTClaimsSet exact =
        new JWTClaimsSet.Builder().issuer(JSONObjectUtils.getString(one, "issuer")).build();
    processor.setJWTClaimsSetVerifier(
        new DefaultJWTClaimsVerifier<>(
            JSONObjectUtils.getString(one, "audience"), exact, Set.of("sub", "exp", "iat", "jti", "client_id")) {
          @Override
          protected Date currentTime() {
            return one.get("now") instanceof Number seconds ? new Date(seconds.longValue() * 1000) : super.currentTime();
          }
        });
    try {
      JWTClaimsSet claims = processor.process(JSONObjectUtils.getString(one, "token"), null);
      return Map.of("accepted", true, "detail", claims.getSubject());
    } catch (BadJOSEException | JOSEException | ParseException error) {
      return Map.of("accepted", false, "detail", error.getClass().getSimpleName() + ": " + error.getMessage());
    }
  }
}
