export default { pool: { size: 8 } }
