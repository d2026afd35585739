/** Who was not let in, and how long the certificate is good. */
import { type Family, Numbers } from './families.ts';

/** Coarse on purpose: what exactly was wrong is in the audit log. */
const REASONS = ['missing', 'unknown', 'expired', 'invalid'];

export interface AccessMetrics {
  readonly families: readonly Family[];
  failed(reason: string): void;
  /** 0 without TLS. */
  certificateUntil(validUntilMs: number): void;
}

export function accessMetrics(): AccessMetrics {
  const failures = new Numbers(
    'counter',
    'holdfast_auth_failures_total',
    'Calls and TLS handshakes of callers that are not known.',
    ['reason'],
  );
  const expiry = new Numbers(
    'gauge',
    'holdfast_tls_certificate_expiry_timestamp_seconds',
    'When the certificate of HOLDFAST_TLS_CERT ends (of its chain, what ends first); 0 without TLS.',
  );
  for (const reason of REASONS) failures.of(reason);
  return {
    families: [failures, expiry],
    failed: (reason) => {
      failures.of(reason).value += 1;
    },
    certificateUntil: (validUntilMs) => {
      expiry.of().value = validUntilMs / 1000;
    },
  };
}
