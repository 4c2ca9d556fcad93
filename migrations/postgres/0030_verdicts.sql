-- What is found of a closure under a policy is not always the last word: damage is mended, and the claim verified again. A verdict
-- that holds and one that does not may stand side by side.
DROP INDEX verdict_by_claim;
CREATE UNIQUE INDEX verdict_by_claim ON verdict (claim_id, policy_digest, manifest_digest, is_clean);
