SELECT tag.name
  , receipt.id
  , receipt.revision
  , receipt.surface
  , receipt.url
  , receipt.manifest_digest
  , receipt.exported_by
  , receipt.created_at
FROM receipt
JOIN tag ON tag.id = receipt.tag_id
WHERE receipt.id = $1
