SELECT claim_id, report, manifest, created_at FROM verdict WHERE id = $1
